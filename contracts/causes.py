"""What can be wrong with a connection, by kind: the words that workers write and the edge reads."""

from collections.abc import Mapping
from typing import Final

REFUSED: Final = "refused"
"""A grant that the provider takes no more: only the owner can mend it."""
TOKEN: Final = "token"  # noqa: S105 - a word
"""A grant whose token has ended, and there is no newer one to be had for now."""
SCOPES: Final = "scopes"
"""Features were chosen whose scopes are not granted."""
SUBSCRIPTION: Final = "subscription"
"""The provider does not show the subscription that we asked for."""
REGISTRATION: Final = "registration"
"""The provider does not let us register the account: its owner has to change something there."""
SILENCE: Final = "silence"
"""Nothing was received for longer than this account is used to."""

KINDS: Final = (REFUSED, TOKEN, SCOPES, REGISTRATION, SUBSCRIPTION, SILENCE)
"""The worst first."""
UNDELIVERED: Final = frozenset({REGISTRATION, SUBSCRIPTION})
"""With these nothing is delivered, or not all of it."""

PAUSED: Final = "paused"
"""Ordered: what comes in waits, and nobody calls out for the connection."""

LOOKED_AFTER: Final = ("pending", "active", "degraded", "needs_reauth", PAUSED)
"""Statuses of connections whose causes are kept true. All but `paused` follow from them; that one,
and those that end a connection, were ordered, and stay until that is taken back."""

Causes = Mapping[str, str]
"""What is wrong, in words, by kind; where it is wrong with a grant, by kind and grant
(`refused:gra_…`)."""


def of_grant(kind: str, grant_id: str) -> str:
    """Under which name a cause that concerns a grant is kept."""
    return f"{kind}:{grant_id}"


def kind_of(name: str) -> str:
    """The kind of a cause kept under `name`."""
    return name.partition(":")[0]


def kinds(causes: Causes) -> list[str]:
    """Which kinds there are, the worst first."""
    found = {kind_of(name) for name in causes}
    return [kind for kind in KINDS if kind in found]


def words(causes: Causes, kind: str) -> list[str]:
    """Those of one kind, each once."""
    found = (causes[name] for name in sorted(causes) if kind_of(name) == kind)
    return list(dict.fromkeys(found))
