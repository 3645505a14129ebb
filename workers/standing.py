"""What a connection's status is, from what is wrong with it. One place decides, for all who find
something out; and what the feed says of a change.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from contracts.content.account import (
    ConnectionActivated,
    ConnectionDegraded,
    ConnectionNeedsReauth,
    ConnectionRecovered,
)

REFUSED: Final = "refused"
"""A grant that the provider takes no more: only the owner can mend it."""
TOKEN: Final = "token"  # noqa: S105 - a word
"""A grant whose token has ended, and there is no newer one to be had for now."""
SCOPES: Final = "scopes"
"""Features were chosen whose scopes are not granted."""
SUBSCRIPTION: Final = "subscription"
"""The provider does not show the subscription that we asked for."""
SILENCE: Final = "silence"
"""Nothing was received for longer than this account is used to."""

KINDS: Final = (REFUSED, TOKEN, SCOPES, SUBSCRIPTION, SILENCE)
"""Kinds of causes, the worst first."""

LOOKED_AFTER: Final = ("pending", "active", "degraded", "needs_reauth")
"""Statuses that follow from causes. The others were ordered, and stay until that is taken back."""

Causes = Mapping[str, str]
"""What is wrong, in words, by kind; where it is wrong with a grant, by kind and grant
(`refused:gra_…`)."""

Content = (
    type[ConnectionActivated]
    | type[ConnectionDegraded]
    | type[ConnectionNeedsReauth]
    | type[ConnectionRecovered]
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


def of_grant(kind: str, grant_id: str) -> str:
    """Under which name a cause that concerns a grant is kept."""
    return f"{kind}:{grant_id}"


def kinds(causes: Causes) -> list[str]:
    """Which kinds there are, the worst first."""
    found = {name.partition(":")[0] for name in causes}
    return [kind for kind in KINDS if kind in found]


def standing(causes: Causes) -> Standing:
    """What follows from `causes`: a refused grant stands above all that works in part."""
    found = kinds(causes)
    if not found:
        return Standing("active")
    if found[0] == REFUSED:
        return Standing("needs_reauth", _words(causes, REFUSED))
    return Standing("degraded", "; ".join(f"{kind}: {_words(causes, kind)}" for kind in found))


def told(was: Known, now: Known) -> tuple[Content, ...]:
    """The messages that a change is worth: none where only the wording is another."""
    begins = was.status == "pending" and SUBSCRIPTION not in now.causes
    began: tuple[Content, ...] = (ConnectionActivated,) if begins else ()
    if now.status == was.status != "degraded":
        return ()
    if now.status == "needs_reauth":
        return (ConnectionNeedsReauth,)
    if now.status == "active":
        return began or (ConnectionRecovered,)
    is_same = (kinds(was.causes), sorted(was.missing)) == (kinds(now.causes), sorted(now.missing))
    if was.status == "degraded" and is_same:
        return ()
    return (*began, ConnectionDegraded)


def _words(causes: Causes, kind: str) -> str:
    """Those of one kind, each once."""
    found = (causes[name] for name in sorted(causes) if name.partition(":")[0] == kind)
    return "; ".join(dict.fromkeys(found))
