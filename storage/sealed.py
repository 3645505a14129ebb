"""What is sealed, and for what: the one table that rotation goes by."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from storage.connecting_schema import connect_sessions
from storage.lookups import lookups
from storage.media_schema import media
from storage.message_id import seal_id
from storage.profiles import profiles
from storage.schema import connections, grants, messages, parked
from storage.sending_schema import sends, threads


class Sealed(NamedTuple):
    """A column `sealed` under the data key of the tenant in the row's column `tenant`.

    `purpose` is a `token_vault.Purpose`. What the bytes are bound to beside it and the tenant is
    `bound` of the columns `by`.
    """

    table: sa.Table
    purpose: str
    by: tuple[str, ...]
    bound: Callable[..., bytes]

    @property
    def key(self) -> sa.Column[Any]:
        """The column by which rows are gone through."""
        (key,) = self.table.primary_key.columns
        return key

    def id_of(self, row: Mapping[Any, Any]) -> bytes:
        """What the bytes of `row`, by column names, are bound to."""
        return self.bound(*(row[name] for name in self.by))


SEALED: Final = (
    Sealed(messages, "message", ("day", "hash"), seal_id),
    Sealed(parked, "parked", ("id",), str.encode),
    Sealed(connections, "connection", ("id",), str.encode),
    Sealed(grants, "token", ("id",), str.encode),
    Sealed(connect_sessions, "connect-session", ("id",), str.encode),
    Sealed(threads, "thread", ("id",), str.encode),
    Sealed(sends, "send", ("id",), str.encode),
    Sealed(profiles, "profile", ("id",), str.encode),
    Sealed(lookups, "message", ("day", "hash"), seal_id),
    Sealed(media, "media", ("id",), str.encode),
)
"""A new sealed column is one line here."""

OTHERWISE: Final[Mapping[str, str]] = {
    "inbox": "under a run key, which is destroyed with its day",
    "escrow": "to the key of its day, which is destroyed a week later",
    "signals": "to the escrow key of its day, and emptied once it is done",
}
"""Tables whose column `sealed` is not under a tenant's data key, and why nothing rotates there."""
