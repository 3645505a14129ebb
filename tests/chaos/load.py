"""Load as providers make it: contacts who write on, deliveries repeated and batched anew."""

import json
import random
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple

import httpx

from tests.chaos.deployment import Deployment, post, pull
from tests.processes import eventually

FLOWING: Final = 20
"""So many texts acknowledged anew: the load flows."""


class Text(NamedTuple):
    """One text of a contact to a Page: the `number`th of their conversation."""

    page: str
    contact: str
    number: int
    at_ms: int

    @property
    def mid(self) -> str:
        """Meta's id of it."""
        return f"m_{self.page}_{self.contact}_{self.number}"


def delivery(texts: Sequence[Text]) -> bytes:
    """A body with `texts` in their order: neighbours of one Page share an entry."""
    entries = [
        {"id": page, "time": int(time.time() * 1000), "messaging": [_event(x) for x in together]}
        for page, together in groupby(texts, key=attrgetter("page"))
    ]
    return json.dumps({"object": "page", "entry": entries}).encode()


def _event(text: Text) -> dict[str, object]:
    return {
        "sender": {"id": text.contact},
        "recipient": {"id": text.page},
        "timestamp": text.at_ms,
        "message": {"mid": text.mid, "text": f"number {text.number}"},
    }


class Sender(threading.Thread):
    """Delivers some conversations as Meta does: again until acknowledged, only then what follows.

    Sometimes it repeats what was acknowledged, hangs up before the answer, or batches anew what was
    not acknowledged.
    """

    def __init__(
        self,
        deployment: Deployment,
        conversations: Sequence[tuple[str, str]],
        seed: int,
        pause_s: float = 0.06,
    ) -> None:
        """`conversations` are pairs of Page and contact that nobody else writes in; `pause_s` is
        the longest pause between two deliveries.
        """
        super().__init__(name=f"sender-{seed}")
        self.acknowledged: list[Text] = []
        self.unanswered: Counter[int | None] = Counter()
        self.repeated = 0
        self._client = deployment.client()
        self._conversations = conversations
        self._pause_s = pause_s
        self._random = random.Random(seed)
        self._written: Counter[tuple[str, str]] = Counter()
        self._stopping = threading.Event()

    def run(self) -> None:
        """Write until `finish()`; what was begun is delivered first."""
        with self._client:
            while not self._stopping.wait(self._random.uniform(0, self._pause_s)):
                self._deliver(self._write())

    def finish(self) -> None:
        """Write nothing more."""
        self._stopping.set()

    def _write(self) -> list[Text]:
        texts = []
        for _ in range(self._random.randint(1, 4)):
            page, contact = self._random.choice(self._conversations)
            self._written[page, contact] += 1
            number = self._written[page, contact]
            texts.append(Text(page, contact, number, int(time.time() * 1000)))
        return texts

    def _deliver(self, texts: list[Text]) -> None:
        """All of `texts`, in their order; what is not acknowledged is split and tried again."""
        waiting = deque([texts])
        while waiting:
            batch = waiting.popleft()
            hurried = self._random.random() < 0.02
            body = delivery(self._repeats() + batch)
            status = post(self._client, body, timeout_s=0.005 if hurried else 10.0)
            if status == 200:
                self.acknowledged += batch
                continue
            self.unanswered[status] += 1
            time.sleep(self._random.uniform(0, 0.1))
            middle = self._random.randrange(len(batch))
            waiting.extendleft(part for part in (batch[middle:], batch[:middle]) if part)

    def _repeats(self) -> list[Text]:
        if self.acknowledged and self._random.random() < 0.2:
            texts = self._random.choices(self.acknowledged, k=self._random.randint(1, 5))
            self.repeated += len(texts)
            return texts
        return []


class Follower(threading.Thread):
    """Reads the feed by its cursor all the while, as the CRM core does."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(name="follower")
        self.messages: list[dict[str, Any]] = []
        self.refusals: list[str] = []
        self._client = deployment.client()
        self._stopping = threading.Event()

    def run(self) -> None:
        """Read until `finish()`."""
        after = ""
        with self._client:
            while not self._stopping.is_set():
                try:
                    page = pull(self._client, after, wait_s=1)
                except httpx.HTTPStatusError as error:
                    if error.response.status_code != 503:
                        self.refusals.append(error.response.text)
                    self._stopping.wait(0.05)
                except httpx.HTTPError:
                    self._stopping.wait(0.05)
                else:
                    self.messages += page.messages
                    after = page.next

    def finish(self) -> None:
        """Read no more."""
        self._stopping.set()
        self.join(20)


class Killer:
    """Kills one of its victims after the other at random moments; each starts what it killed."""

    def __init__(
        self, victims: Mapping[str, Callable[[], None]], shares: Mapping[str, int]
    ) -> None:
        """`shares` says how often a victim's turn comes, compared to the others."""
        self._victims = victims
        self._turn = [name for name, share in shares.items() for _ in range(share)]
        self.kills: Counter[str] = Counter()

    def run(self, kills: int, seed: int, acknowledged: Callable[[], int]) -> None:
        """Kill so often, each victim in its turn; three of four times once the load flows again."""
        chance = random.Random(seed)
        order: list[str] = []
        while len(order) < kills:
            order += chance.sample(self._turn, len(self._turn))
        for number, name in enumerate(order[:kills]):
            if number % 4:
                goal = acknowledged() + FLOWING
                eventually(lambda goal=goal: acknowledged() >= goal, within_s=45)  # type: ignore[misc]
            time.sleep(chance.uniform(0.2, 2.0))
            self._victims[name]()
            self.kills[name] += 1


def shortcomings(
    feed: Sequence[Mapping[str, Any]],
    acknowledged: Sequence[Text],
    tenants: Mapping[str, Sequence[str]],
) -> list[str]:
    """What is wrong with a feed's texts: lost, twice, out of order. `tenants`: those of a Page."""
    feed = [m for m in feed if m["type"] == "cleverbox.message.received"]
    seen = Counter((m["tenant"], m["data"]["message_id"]) for m in feed)
    wanted = {(tenant, text.mid) for text in acknowledged for tenant in tenants[text.page]}
    wrong = [f"lost: {key}" for key in sorted(wanted - seen.keys())]
    wrong += [f"{count} times: {key}" for key, count in seen.items() if count > 1]
    wrong += [f"never acknowledged: {key}" for key in seen.keys() - wanted]
    by_conversation: dict[tuple[str, str], list[int]] = defaultdict(list)
    for message in feed:
        mid = message["data"]["message_id"]
        by_conversation[message["tenant"], mid.rpartition("_")[0]].append(
            int(mid.rpartition("_")[2])
        )
    wrong += [f"order: {key}" for key, found in by_conversation.items() if found != sorted(found)]
    places = [message["sequence"] for message in feed]
    return wrong + (["the feed's own order"] if places != sorted(places) else [])
