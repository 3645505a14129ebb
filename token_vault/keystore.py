"""The key store: a small database of its own that holds wrapped keys and the erasure journal."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from contracts.errors import KeyUnavailable
from token_vault import keystore_schema
from token_vault.keystore_schema import ERASURES, KEYS


class KeyRow(NamedTuple):
    """A key as stored; `wrapped` is None when it was destroyed."""

    kind: str
    name: str
    version: int
    """Revision of the row: a rotation replaces the wrapped keyset and counts on."""
    wrapped: bytes | None
    public: bytes | None
    kek: str | None = None
    """URI of the key-encryption key that wrapped it; None: from before this was written down."""


class Erasure(NamedTuple):
    """A line of the erasure journal; `detail` names days, hashes or ids, never content."""

    id: int
    at: datetime
    kind: str
    tenant: str | None
    detail: str


_KEY = select(*(KEYS.c[name] for name in KeyRow._fields))
_ORDER = tuple_(KEYS.c.kind, KEYS.c.name)
_REPLACE = (
    update(KEYS)
    .where(
        KEYS.c.kind == bindparam("its_kind"),
        KEYS.c.name == bindparam("its_name"),
        KEYS.c.version == bindparam("before"),
        KEYS.c.wrapped.is_not(None),
    )
    .values(wrapped=bindparam("now"), version=bindparam("after"), kek=bindparam("by"))
)
_JOURNAL = select(
    ERASURES.c.id, ERASURES.c.at_ms, ERASURES.c.kind, ERASURES.c.tenant, ERASURES.c.detail
).order_by(ERASURES.c.id)


class KeyStore:
    """Keys and journal in `sqlite:///path` or `postgresql://…`; safe to share between threads.

    Every method raises `KeyUnavailable` when the database is away or `create` never ran.
    """

    def __init__(self, url: str, *, timeout_s: float = 5.0) -> None:
        """Connects to nothing yet. Raises `Misconfigured` for another kind of URL."""
        self._engine = keystore_schema.engine(url, timeout_s)

    def create(self) -> None:
        """Bring the schema to what this build needs; safe when several processes start at once."""
        with _translated():
            keystore_schema.upgrade(self._engine)

    def close(self) -> None:
        """Let go of the connections; another use opens new ones."""
        self._engine.dispose()

    def read(self, name: str, kinds: Sequence[str]) -> dict[str, KeyRow]:
        """The keys of `name` by kind, destroyed ones too; kinds that were never made are absent."""
        query = _KEY.where(KEYS.c.name == name, KEYS.c.kind.in_(kinds))
        return {row.kind: KeyRow._make(row) for row in self._rows(query)}

    def of_kind(self, kind: str) -> list[KeyRow]:
        """All keys of a kind by name, destroyed ones too."""
        query = _KEY.where(KEYS.c.kind == kind).order_by(KEYS.c.name)
        return [KeyRow._make(row) for row in self._rows(query)]

    def live(
        self,
        limit: int,
        *,
        after: tuple[str, str] = ("", ""),
        kind: str | None = None,
        by: str | None = None,
        but: str | None = None,
    ) -> list[KeyRow]:
        """Keys that are not destroyed, by kind and name, after the kind and name `after`: those of
        `kind`, those that `by` wrapped, those that `but` did not.
        """
        query = _KEY.where(KEYS.c.wrapped.is_not(None), tuple_(*after) < _ORDER)
        if kind is not None:
            query = query.where(KEYS.c.kind == kind)
        if by is not None:
            query = query.where(KEYS.c.kek == by)
        if but is not None:
            query = query.where(KEYS.c.kek.is_distinct_from(but))
        rows = self._rows(query.order_by(*_ORDER).limit(limit))
        return [KeyRow._make(row) for row in rows]

    def count_by_kek(self) -> dict[str | None, int]:
        """How many keys each key-encryption key has wrapped, destroyed ones left out."""
        count = select(KEYS.c.kek, func.count().label("live")).where(KEYS.c.wrapped.is_not(None))
        return {row.kek: row.live for row in self._rows(count.group_by(KEYS.c.kek))}

    def add(self, keys: Sequence[KeyRow]) -> None:
        """Store `keys` in one transaction; those that exist, destroyed or not, stay as they are."""
        rows = [{**key._asdict(), "created_ms": _now_ms()} for key in keys]
        dialect = postgresql if self._engine.dialect.name == "postgresql" else sqlite
        with self._transaction("write") as connection:
            connection.execute(dialect.insert(KEYS).on_conflict_do_nothing(), rows)

    def replace(self, keys: Sequence[KeyRow]) -> int:
        """Put each of `keys` in the place of its version before, unless that was replaced or
        destroyed meanwhile. Returns how many were put.
        """
        if not keys:
            return 0
        changes = [
            {
                "its_kind": key.kind,
                "its_name": key.name,
                "before": key.version - 1,
                "after": key.version,
                "now": key.wrapped,
                "by": key.kek,
            }
            for key in keys
        ]
        with self._transaction("write") as connection:
            return connection.execute(_REPLACE, changes).rowcount

    def scrub(self) -> None:
        """Make bytes that were replaced leave the database's files too. Repeatable."""
        with _translated():
            keystore_schema.scrub(self._engine)

    def destroy(
        self, name: str, kinds: Sequence[str], *, erasure: str, tenant: str | None, detail: str
    ) -> None:
        """Blank the keys of `name` and write a journal line, in one transaction.

        Blanked bytes leave the database's files too; when that fails it raises `KeyUnavailable`,
        though the keys are gone: destroy again. Nothing is journaled twice.
        """
        live = and_(KEYS.c.name == name, KEYS.c.kind.in_(kinds), KEYS.c.destroyed_ms.is_(None))
        blank = update(KEYS).where(live).values(wrapped=None, public=None, destroyed_ms=_now_ms())
        with self._transaction("write") as connection:
            if connection.execute(blank).rowcount:
                _record(connection, erasure, tenant, detail)
        self.scrub()

    def record(self, kind: str, tenant: str | None, detail: str) -> None:
        """Append a line to the erasure journal."""
        with self._transaction("write") as connection:
            _record(connection, kind, tenant, detail)

    def journal(self) -> list[Erasure]:
        """The erasure journal, oldest first."""
        return [
            Erasure(row.id, _moment(row.at_ms), row.kind, row.tenant, row.detail)
            for row in self._rows(_JOURNAL)
        ]

    def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        with self._transaction("read") as connection:
            return connection.execute(query).all()

    @contextmanager
    def _transaction(self, mode: Literal["read", "write"]) -> Iterator[Connection]:
        with _translated(), keystore_schema.begin(self._engine, mode) as connection:
            yield connection


@contextmanager
def _translated() -> Iterator[None]:
    """The database's errors become `KeyUnavailable`, without the values they quote."""
    try:
        yield
    except DBAPIError as error:
        first_line = str(error.orig).partition("\n")[0][:200]
        raise KeyUnavailable(f"key store: {first_line}") from None
    except SQLAlchemyError as error:
        raise KeyUnavailable(f"key store: {type(error).__name__}") from None


def _record(connection: Connection, kind: str, tenant: str | None, detail: str) -> None:
    values = {"at_ms": _now_ms(), "kind": kind, "tenant": tenant, "detail": detail}
    connection.execute(insert(ERASURES).values(values))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
