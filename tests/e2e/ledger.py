"""The sandbox's record beside the feed, while both grow."""

import time
from collections import Counter
from typing import Final

from tests.e2e.provider import Provider
from tests.e2e.record import ON_THE_WAY, Happening, Talks, Thread, difference, posted, talks, told
from tests.e2e.stack import Feed, Json
from tests.sandbox.stage import Phone

AT_ONCE: Final = 500


class Ledger:
    """What happened, and what the feed has said of it so far. `feed`: that of all tenants."""

    def __init__(self, provider: Provider, feed: Feed) -> None:
        self._provider, self._feed = provider, feed
        self.messages: list[Json] = []
        self.numbers: list[Phone] = []
        """Phones whose conversations alone say what the business sent."""
        self._posts: dict[int, Json] = {}
        self._revision = 0

    def happened(self) -> Talks:
        """By the sandbox's own record."""
        self._look()
        bubbles = [bubble for phone in self.numbers for bubble in phone.bubbles()]
        written = {str(one["mid"]): one for one in bubbles if one["author"] == "page"}
        return talks(posted(list(self._posts.values()), written))

    def fed(self) -> Talks:
        """By the feed, as far as it was read."""
        return talks(one for one in map(told, self.messages) if one is not None)

    def caught_up(self, within_s: float = 20) -> None:
        """Wait until all webhooks are over, and the feed has said as much as happened."""
        deadline = time.monotonic() + within_s
        while not self._is_even():
            assert time.monotonic() < deadline, self._what_is_wrong()
            self.messages += self._feed.pull(0.5)
        self.messages += self._feed.pull()

    def of(self, kind: str) -> list[Json]:
        """The feed's messages of a type."""
        return [one for one in self.messages if one["type"] == f"cleverbox.{kind}"]

    def until(self, kind: str, count: int, within_s: float = 20) -> list[Json]:
        """The same, as soon as there are so many."""
        deadline = time.monotonic() + within_s
        while len(self.of(kind)) < count:
            assert time.monotonic() < deadline, f"{len(self.of(kind))} of {count} {kind}"
            self.messages += self._feed.pull(0.5)
        return self.of(kind)

    def _is_even(self) -> bool:
        return not self._unsettled() and _count(self.happened()) == _count(self.fed())

    def _what_is_wrong(self) -> str:
        return "\n".join(difference(self.happened(), self.fed()) + self._unsettled())

    def _unsettled(self) -> list[str]:
        self._look()
        waiting = [one for one in self._posts.values() if one["status"] in ON_THE_WAY]
        return [f"webhook {one['id']} is {one['status']}: {one['kinds']}" for one in waiting]

    def _look(self) -> None:
        while True:
            query = {"after": self._revision, "limit": AT_ONCE}
            page = self._provider.got("deliveries", **query)
            self._posts |= {one["id"]: one for one in page["deliveries"]}
            self._revision = page["revision"]
            if len(page["deliveries"]) < AT_ONCE:
                return


def _count(found: Talks) -> Counter[tuple[Thread, Happening]]:
    return Counter((thread, one) for thread, several in found.items() for one in several)
