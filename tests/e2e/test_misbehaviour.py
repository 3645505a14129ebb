"""Whatever a network and a provider do on bad days, the feed has each message once."""

import random

import pytest

from tests.e2e.stack import Feed, texts
from tests.sandbox.stage import Phone

LAST = "the last one"


def write(phone: Phone, *words: str) -> list[object]:
    """Write messages and wait until their webhooks are over; returns what became of each."""
    written = [phone.write(word)["delivery"] for word in words]
    return [phone.settled(number)["status"] for number in written]


def all_texts(feed: Feed, phone: Phone) -> list[str]:
    """Behave again, write one more, and return everything that was in the feed before it."""
    phone.misbehave("clear")
    write(phone, LAST)
    found = feed.texts_until(LAST, of=phone.path.rpartition("/")[2])
    assert found[-1] == LAST
    return found[:-1]


@pytest.mark.parametrize("kind", ["repeat", "rebatch"])
def test_what_comes_again_adds_nothing(feed: Feed, phone: Phone, kind: str) -> None:
    assert write(phone, "a", "b", "c") == ["delivered"] * 3
    again = phone.misbehave(kind, 3)["deliveries"]
    assert isinstance(again, list)
    assert [phone.settled(number)["status"] for number in again] == ["delivered"] * len(again)
    assert all_texts(feed, phone) == ["a", "b", "c"]


def test_webhooks_that_go_out_twice_are_one_message(feed: Feed, phone: Phone) -> None:
    phone.misbehave("double", 3)
    assert write(phone, "a", "b", "c") == ["delivered"] * 3
    assert all_texts(feed, phone) == ["a", "b", "c"]


def test_gathered_messages_keep_their_order(feed: Feed, phone: Phone) -> None:
    phone.misbehave("gather", 3)
    assert write(phone, "a", "b", "c") == ["merged"] * 3
    assert all_texts(feed, phone) == ["a", "b", "c"]


def test_the_feed_has_the_order_of_arrival(feed: Feed, phone: Phone) -> None:
    phone.misbehave("reorder", 3)
    assert write(phone, "a", "b", "c") == ["delivered"] * 3
    assert all_texts(feed, phone) == ["c", "b", "a"]


@pytest.mark.parametrize("kind", ["forge", "unsigned"])
def test_what_meta_did_not_sign_is_never_in_the_feed(feed: Feed, phone: Phone, kind: str) -> None:
    phone.misbehave(kind, 2)
    assert write(phone, "a", "b", "c") == ["refused", "refused", "delivered"]
    assert all_texts(feed, phone) == ["c"]


def test_what_was_never_sent_is_missing_alone(feed: Feed, phone: Phone) -> None:
    phone.misbehave("drop")
    assert write(phone, "a", "b") == ["dropped", "delivered"]
    assert all_texts(feed, phone) == ["b"]


def test_everything_at_once(feed: Feed, phone: Phone) -> None:
    chance = random.Random(20261122)
    expected = []
    for number in range(60):
        phone.misbehave(chance.choice(("double", "gather", "reorder")), chance.randint(1, 4))
        expected.append(f"m{number}")
        phone.write(expected[-1])
        if chance.random() < 0.3:
            phone.misbehave(chance.choice(("repeat", "rebatch")), chance.randint(1, 5))
    assert sorted(all_texts(feed, phone)) == sorted(expected)


def test_a_burst_comes_whole_and_in_order(feed: Feed, phone: Phone, psid: str) -> None:
    count = 200
    phone.post(f"{phone.path}/burst", count=count)
    found = texts(feed.until(lambda found: len(found) >= count, of=psid, within_s=30))
    numbers = [int("".join(filter(str.isdigit, text))) for text in found]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == count
