"""What a connection's status is, from what is wrong with it. One place decides, for all who find
something out; and what the feed says of a change.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from contracts.causes import PAUSED, REFUSED, UNDELIVERED, Causes, kinds, words
from contracts.content.account import (
    ConnectionActivated,
    ConnectionDegraded,
    ConnectionNeedsReauth,
    ConnectionRecovered,
    ConnectionResumed,
)

Said = (
    type[ConnectionActivated]
    | type[ConnectionDegraded]
    | type[ConnectionNeedsReauth]
    | type[ConnectionRecovered]
    | type[ConnectionResumed]
)


class Standing(NamedTuple):
    """A status, and the reason for it in words; none for `active`."""

    status: str
    reason: str = ""


class Known(NamedTuple):
    """What is known of a connection: its status, and what led to it."""

    status: str
    causes: Causes
    missing: Sequence[str] = ()


def standing(causes: Causes) -> Standing:
    """What follows from `causes`: a refused grant stands above all that works in part."""
    found = kinds(causes)
    if not found:
        return Standing("active")
    if found[0] == REFUSED:
        return Standing("needs_reauth", "; ".join(words(causes, REFUSED)))
    return Standing(
        "degraded", "; ".join(f"{kind}: {'; '.join(words(causes, kind))}" for kind in found)
    )


def told(was: Known, now: Known) -> tuple[Said, ...]:
    """The messages that a change is worth: none where only the wording is another."""
    begins = was.status == "pending" and UNDELIVERED.isdisjoint(now.causes)
    began: tuple[Said, ...] = (ConnectionActivated,) if begins else ()
    if now.status == was.status != "degraded":
        return ()
    if was.status == PAUSED:
        return (ConnectionResumed, *_ILL.get(now.status, ()))
    if now.status == "needs_reauth":
        return (ConnectionNeedsReauth,)
    if now.status == "active":
        return began or (ConnectionRecovered,)
    is_same = (kinds(was.causes), sorted(was.missing)) == (kinds(now.causes), sorted(now.missing))
    if was.status == "degraded" and is_same:
        return ()
    return (*began, ConnectionDegraded)


_ILL: Final[Mapping[str, tuple[Said, ...]]] = {
    "needs_reauth": (ConnectionNeedsReauth,),
    "degraded": (ConnectionDegraded,),
}
"""What is said of one that was resumed and does not work, or not all of it."""
