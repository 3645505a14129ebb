"""A day of ten tenants with twenty accounts: in the end the feed is what happened, exactly.

What happened says the sandbox, by its own record (`record.py`); the processes are those of
production, but for SQLite and a broker in files.
"""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import httpx
import pytest

from gateway.connecting import ManualAccount
from tests.e2e.crm import Crm
from tests.e2e.fleet import WORKERS, Fleet
from tests.e2e.ledger import Ledger
from tests.e2e.provider import Provider
from tests.e2e.record import difference, talks, told
from tests.e2e.stack import say
from tests.e2e.visitor import connected
from tests.sandbox.stage import Phone, wait_until

NUMBER: Final = 7_300_000_000_000
TENANTS: Final = tuple(f"tenant-{n}" for n in range(10))
HAVE: Final = {
    "facebook": (0, 1, 2, 3, 4, 5, 6, 7),
    "instagram": (0, 2, 4, 6, 8, 9),
    "whatsapp": (1, 3, 5, 7, 8, 9),
}
"""Provider → the tenants that have an account there: two accounts each."""
THROTTLED, VANISHES, REVOKED = range(3)
"""Which of the Pages."""
GATES_KNOWN_S: Final = 2.2
"""After so long all processes know that a limit is reached."""
SECOND: Final = "the-second-secret"
WORDS: Final = ("Чи є хліб?", "👩🏽‍🌾 ciao", "שלום, עולם", 'a/b \\ "c"', "é", "Is it warm?", "нема")


class Account(NamedTuple):
    """One account of one tenant, its connection, its owner, and two people who write to it."""

    tenant: str
    provider: str
    id: str
    connection: str
    owner: str
    phones: tuple[Phone, Phone]


class Day:
    """What happens, and the ledger of it."""

    def __init__(self, fleet: Fleet, provider: Provider, crm: Crm, ledger: Ledger) -> None:
        self.fleet, self.provider, self.crm, self.ledger = fleet, provider, crm, ledger
        self.chance = random.Random(20261128)
        self.accounts: list[Account] = []
        self.sends: list[str] = []
        self.waiting: list[str] = []
        """Sends of the throttled Page."""

    # -- accounts --------------------------------------------------------------------------------

    def connect(self) -> None:
        """Numbers by hand, the others by their owners."""
        plan = [(provider, TENANTS[n]) for provider, several in HAVE.items() for n in several]
        with ThreadPoolExecutor(2) as pool:
            self.accounts = list(pool.map(lambda it: self._connected(*it), plan))
        self.ledger.numbers = [phone for one in self.of("whatsapp") for phone in one.phones]

    def _connected(self, name: str, tenant: str) -> Account:
        if name == "whatsapp":
            waba, account, token = self.provider.whatsapp_number(f"Number of {tenant}")
            connection = self.fleet.add(ManualAccount(tenant, name, account, "", waba), token)
            self.crm.resync(connection)
            wait_until(lambda: self.provider.hears(waba), 20)
            phones = (self.provider.whatsapp_phone(account), self.provider.whatsapp_phone(account))
            return Account(tenant, name, account, connection, waba, phones)
        if name == "facebook":
            owner = self.provider.facebook_person(f"Owner of {tenant}")
            account = self.provider.page(owner)
        else:
            owner = account = self.provider.instagram_account(f"Account of {tenant}")
        connection = connected(self.crm, tenant, name, owner)
        phones = (self.provider.phone(account), self.provider.phone(account))
        return Account(tenant, name, account, connection, owner, phones)

    def of(self, name: str) -> list[Account]:
        """Accounts at one provider."""
        return [one for one in self.accounts if one.provider == name]

    # -- people ----------------------------------------------------------------------------------

    def everybody(self, *which: int) -> list[tuple[Account, Phone]]:
        """People of all accounts, in an order that is no order."""
        people = [(one, one.phones[n]) for one in self.accounts for n in which or (0, 1)]
        self.chance.shuffle(people)
        return people

    def misbehave(self, kind: str, count: int = 1000) -> None:
        """Have the sandbox misbehave with the next webhooks, or send earlier ones again."""
        self.provider.act("misbehave", kind=kind, count=count)

    def settle(self) -> None:
        """Behave again, and wait until the feed has said all that happened."""
        self.misbehave("clear")
        self.ledger.caught_up()

    def write(self, *which: int, **fields: object) -> None:
        """Each of them writes something."""
        for _, phone in self.everybody(*which):
            phone.write(self.chance.choice(WORDS), **fields)

    # -- the business ----------------------------------------------------------------------------

    def conversation(self, phone: Phone) -> str:
        """The gateway's name for the conversation with somebody, from their first message."""
        mids = [one["mid"] for one in phone.bubbles() if one["author"] == "contact"]
        received = self.ledger.of("message.received")
        return str(next(it["subject"] for it in received if it["data"]["message_id"] in mids))

    def answer(self, account: Account, phone: Phone, text: str) -> str:
        """The business answers: the send's id."""
        body = {"connection": account.connection, "conversation": self.conversation(phone)}
        answer = self.crm.send(f"day-{len(self.sends)}", **body, text=text)
        assert answer.status_code == 202, answer.text
        self.sends.append(answer.json()["id"])
        return self.sends[-1]

    def are_sent(self, sends: list[str]) -> None:
        """Wait until all of them are."""
        states = [self.crm.outcome(send, "sent", "failed")["status"] for send in sends]
        assert states == ["sent"] * len(sends)


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Day]:
    """Everything runs, and twenty accounts are connected."""
    with Fleet(tmp_path) as fleet, Provider(fleet.sandbox_url, NUMBER) as provider:
        fleet.start()
        crm = Crm(fleet.url, fleet.key, fleet.public_url)
        with crm.feed() as feed:
            feed.passed_over = set()
            day = Day(fleet, provider, crm, Ledger(provider, feed))
            provider.act("switches", require_proof=True)
            day.connect()
            yield day
        crm.close()


def test_in_the_end_the_feed_is_what_happened(day: Day) -> None:
    for part in PARTS:
        began = time.monotonic()
        part(day)
        day.settle()
        say(f"{part.__name__}: {time.monotonic() - began:.1f} s")
    for tenant in TENANTS:
        talks_are_exact(day, tenant)
    the_rest_is_exact(day)


def people_write(day: Day) -> None:
    """Every webhook comes twice, some come again, alone and together."""
    day.misbehave("double")
    day.write()
    day.write()
    day.settle()
    day.misbehave("repeat", 40)
    day.misbehave("rebatch", 60)
    asked = [one for one in day.accounts if one.provider != "whatsapp"]
    for changed in day.ledger.until("contact.changed", 2 * len(asked)):
        contact = changed["data"]["contact"]
        assert contact["name"] == f"Person {contact['id'][-4:]}"


def pictures_come(day: Day) -> None:
    """All in one delivery an object; what they show is fetched and served."""
    day.misbehave("gather")
    for _, phone in day.everybody(0):
        phone.post(f"{phone.path}/messages", attachments=[{"type": "image"}])
    day.settle()
    shown = httpx.get(f"{day.fleet.sandbox_url}/media/photo.jpg", trust_env=False).content
    for update in day.ledger.until("attachment.updated", len(day.accounts)):
        attachment = update["data"]["attachment"]
        assert attachment["stored"], update
        assert day.crm.attachment(attachment["id"]) == shown


def the_business_answers(day: Day) -> None:
    """One Page is at its limit: it alone waits, and is not called again."""
    page = day.of("facebook")[THROTTLED]
    path = f"/{page.id}/messages"
    day.provider.act("trouble", kind="limited", asset=page.id, path=path, minutes=30)
    day.waiting = [day.answer(page, page.phones[0], "We are late")]
    wait_until(lambda: day.crm.sent(day.waiting[0])["attempts"] == 1)
    neighbours = [it for it in day.everybody() if it[0] != page]
    began = time.monotonic()
    day.are_sent([day.answer(*it, f"Answer {n}") for n, it in enumerate(neighbours)])
    took_s = time.monotonic() - began
    say(f"{len(neighbours)} answers: {took_s:.1f} s")
    time.sleep(max(0, GATES_KNOWN_S - took_s))
    day.waiting.append(day.answer(page, page.phones[1], "We are later"))


def it_is_read(day: Day) -> None:
    """Everybody looks at what was answered."""
    for account, phone in day.everybody():
        if account.provider == "whatsapp":
            phone.happen("read")
        else:
            phone.post(f"{phone.path}/open")


def a_subscription_vanishes(day: Day) -> None:
    """What is written meanwhile nobody hears; a look finds it, mends it, and says so."""
    page = day.of("facebook")[VANISHES]
    day.provider.act(f"facebook/pages/{page.id}/unsubscribe")
    unheard = page.phones[0].write("Is anybody there?")["delivery"]
    assert page.phones[0].settled(unheard)["status"] == "dropped"
    day.crm.resync(page.connection)
    (gap,) = day.ledger.until("connection.gap", 1)
    assert (gap["connection"], gap["data"]["reason"]) == (page.connection, "unsubscribed")
    page.phones[0].write("And now?")


def a_token_is_revoked(day: Day) -> None:
    """Its owner changed the password: the feed says so, and nothing can be sent."""
    page = day.of("facebook")[REVOKED]
    day.provider.act(f"facebook/people/{page.owner}/change-password")
    day.crm.resync(page.connection)
    (lost,) = day.ledger.until("connection.needs_reauth", 1)
    assert lost["connection"] == page.connection
    body = {"connection": page.connection, "conversation": day.conversation(page.phones[0])}
    refused = day.crm.send("day-refused", **body, text="Sorry")
    assert refused.status_code == 409, refused.text
    page.phones[1].write("Hello?")


def a_worker_is_killed(day: Day) -> None:
    """While some write, their last words first, and the others are answered."""
    day.misbehave("reorder")
    day.write(1)
    day.write(1)
    ill = [day.of("facebook")[n] for n in (THROTTLED, REVOKED)]
    answered = [it for it in day.everybody(0) if it[0] not in ill]
    half = len(answered) // 2
    sends = [day.answer(*it, f"Now {n}") for n, it in enumerate(answered[:half])]
    day.misbehave("clear")
    day.fleet.kill(WORKERS[0])
    sends += [day.answer(*it, f"Later {n}") for n, it in enumerate(answered[half:])]
    day.are_sent(sends)
    day.fleet.start(WORKERS[0])


def the_secret_is_rotated(day: Day) -> None:
    """Both secrets count; then Meta signs with the new one, and wants proofs by it."""
    first = day.fleet.environ["META_APP_SECRET"]
    day.fleet.restart(META_APP_SECRET=SECOND, META_APP_SECRET_PREVIOUS=first)
    day.write(0)
    day.settle()
    day.provider.act("facebook/app", secret=SECOND)
    day.write(1)


def words_are_taken_back(day: Day) -> None:
    """Edits, reactions and unsends, each twice."""
    day.misbehave("double")
    for account, phone in day.everybody(1):
        mid = [one["mid"] for one in phone.bubbles() if one["author"] == "contact"][-1]
        phone.happen("message_edit", mid=mid, text="Is it 🥖?")
        phone.happen("reaction", mid=mid, action="react", reaction="love")
        phone.happen("reaction", mid=mid, action="unreact", reaction="love")
        if account.provider != "facebook":  # Messenger tells nobody of it
            phone.happen("unsend" if account.provider == "instagram" else "revoke", mid=mid)


PARTS: Final = (
    people_write,
    pictures_come,
    the_business_answers,
    it_is_read,
    a_subscription_vanishes,
    a_token_is_revoked,
    a_worker_is_killed,
    the_secret_is_rotated,
    words_are_taken_back,
)


# What there is in the end


def talks_are_exact(day: Day, tenant: str) -> None:
    """Read anew from the beginning, as the tenant does."""
    with day.crm.feed(tenant) as feed:
        messages = [message for page in iter(feed.pull, []) for message in page]
    own = {one.id for one in day.accounts if one.tenant == tenant}
    happened = {it: said for it, said in day.ledger.happened().items() if it.account in own}
    assert {one["tenant"] for one in messages} == {tenant}
    wrong = difference(happened, talks(it for it in map(told, messages) if it))
    assert not wrong, f"{tenant}:\n" + "\n".join(wrong)
    named = {(it[0], one["subject"]) for one in messages if (it := told(one))}
    threads, subjects = ({pair[n] for pair in named} for n in (0, 1))
    assert len(threads) == len(named) == len(subjects) == 4, "a conversation each"


def the_rest_is_exact(day: Day) -> None:
    """What the feed says beside talks; and every send is one message."""
    found: dict[str, list[str]] = {}
    for message in day.ledger.messages:
        if told(message) is None:
            kind = message["type"].removeprefix("cleverbox.")
            found.setdefault(kind, []).append(message["connection"])
    pages = day.of("facebook")
    owned = sorted(one.connection for one in (*pages, *day.of("instagram")))
    assert {kind: sorted(several) for kind, several in found.items()} == {
        "connection.activated": owned,
        "contact.changed": sorted(owned * 2),
        "attachment.updated": sorted(one.connection for one in day.accounts),
        "connection.gap": [pages[VANISHES].connection],
        "connection.needs_reauth": [pages[REVOKED].connection],
    }
    brought = [one["data"]["send_id"] for one in day.ledger.of("message.sent")]
    assert sorted(brought) == sorted(set(day.sends) - set(day.waiting))
    assert [day.crm.sent(send)["status"] for send in day.waiting] == ["queued", "queued"]
    path = f"/{pages[THROTTLED].id}/messages"
    calls = [it for it in day.provider.got("calls", after=0)["calls"] if it["path"].endswith(path)]
    assert [it["status"] for it in calls] == [403], "a limit that is reached is not tried again"
