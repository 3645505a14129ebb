"""The sandbox misbehaves on request, exactly as often as asked."""

from tests.sandbox.stage import PAGE, Phone, Receiver, wait_until


def texts(receiver: Receiver) -> list[list[str]]:
    return [post.texts for post in receiver.received]


def test_repeat_sends_the_last_ones_again_byte_for_byte(phone: Phone, receiver: Receiver) -> None:
    for text in ("a", "b", "c"):
        phone.settled(phone.write(text)["delivery"])
    assert phone.misbehave("repeat", 2)["deliveries"] == [4, 5]
    receiver.wait_for(5)
    assert texts(receiver) == [["a"], ["b"], ["c"], ["b"], ["c"]]
    assert receiver.received[1].body == receiver.received[3].body


def test_one_delivery_can_be_repeated(phone: Phone, receiver: Receiver) -> None:
    first = phone.write("a")["delivery"]
    phone.settled(first)
    again = phone.post(f"/api/deliveries/{first}/repeat")["delivery"]
    assert phone.settled(again)["note"] == "#1 again"
    assert receiver.received[0].body == receiver.received[1].body


def test_double(phone: Phone, receiver: Receiver) -> None:
    phone.misbehave("double", 2)
    for text in ("a", "b", "c"):
        phone.write(text)
    receiver.wait_for(5)
    assert texts(receiver) == [["a"], ["a"], ["b"], ["b"], ["c"]]


def test_rebatch_puts_the_last_entries_in_one_post(phone: Phone, receiver: Receiver) -> None:
    for text in ("a", "b", "c"):
        phone.settled(phone.write(text)["delivery"])
    phone.misbehave("rebatch", 3)
    batch = receiver.wait_for(4)[3]
    assert batch.signed
    assert batch.texts == ["a", "b", "c"]
    assert [entry["id"] for entry in batch.entries] == [PAGE] * 3


def test_gather_sends_the_next_ones_in_one_post(phone: Phone, receiver: Receiver) -> None:
    phone.misbehave("gather", 3)
    first = phone.write("a")["delivery"]
    phone.write("b")
    assert phone.delivery(first)["status"] == "held"
    assert receiver.received == []
    phone.write("c")
    receiver.wait_for(1)
    assert texts(receiver) == [["a", "b", "c"]]
    assert phone.delivery(first)["status"] == "merged"


def test_reorder_sends_the_next_ones_in_reverse(phone: Phone, receiver: Receiver) -> None:
    phone.misbehave("reorder", 3)
    for text in ("a", "b", "c", "d"):
        phone.write(text)
    receiver.wait_for(4)
    assert texts(receiver) == [["c"], ["b"], ["a"], ["d"]]


def test_release_lets_go_before_the_count_is_full(phone: Phone, receiver: Receiver) -> None:
    phone.misbehave("reorder", 10)
    phone.write("a")
    phone.write("b")
    assert phone.misbehave("release")["armed"] == dict.fromkeys(
        ("double", "reorder", "gather", "forge", "unsigned", "drop"), 0
    )
    receiver.wait_for(2)
    assert texts(receiver) == [["b"], ["a"]]


def test_another_way_of_holding_lets_the_first_go(phone: Phone, receiver: Receiver) -> None:
    phone.misbehave("gather", 5)
    phone.write("a")
    phone.misbehave("reorder", 2)
    receiver.wait_for(1)
    phone.write("b")
    phone.write("c")
    receiver.wait_for(3)
    assert texts(receiver) == [["a"], ["c"], ["b"]]


def test_forged_and_unsigned_are_tried_once(phone: Phone, receiver: Receiver) -> None:
    phone.misbehave("forge")
    forged = phone.settled(phone.write("a")["delivery"])
    phone.misbehave("unsigned")
    unsigned = phone.settled(phone.write("b")["delivery"])
    true = phone.settled(phone.write("c")["delivery"])
    assert [one["status"] for one in (forged, unsigned, true)] == [
        "refused",
        "refused",
        "delivered",
    ]
    assert [one["signature"] for one in (forged, unsigned, true)] == ["forged", "none", "valid"]
    assert "x-hub-signature-256" not in receiver.received[1].headers
    assert [post.signed for post in receiver.received] == [False, False, True]


def test_drop(phone: Phone, receiver: Receiver) -> None:
    phone.misbehave("drop")
    lost = phone.write("a")["delivery"]
    phone.write("b")
    receiver.wait_for(1)
    assert texts(receiver) == [["b"]]
    assert phone.delivery(lost)["status"] == "dropped"


def test_clear_behaves_again(phone: Phone, receiver: Receiver) -> None:
    for kind in ("drop", "forge", "unsigned", "double"):
        phone.misbehave(kind, 9)
    phone.misbehave("clear")
    phone.write("a")
    wait_until(lambda: len(receiver.received) == 1)
    assert receiver.received[0].signed


def test_counts_are_bounded(phone: Phone) -> None:
    for count in (0, 1001):
        answer = phone.http.post("/api/misbehave", json={"kind": "double", "count": count})
        assert answer.status_code == 422
        burst = phone.http.post(f"{phone.path}/burst", json={"count": count})
        assert burst.status_code == 422
    assert phone.http.post("/api/misbehave", json={"kind": "sulk"}).status_code == 422
