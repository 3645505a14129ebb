"""What providers tell of sends, within the drain's transaction."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from contracts.errors import Permanent
from storage import due
from storage.database import now_ms
from storage.outbox import SETTLE
from storage.sending_schema import sends
from storage.turns import Settled

_LONGEST: Final = 300


def tell_later(connection: sa.Connection, settled: Sequence[Settled]) -> None:
    """Have somebody tell the outcome of those that the feed does not have by the provider's word:
    due rows come before all other locks, in order of their keys.
    """
    for id_ in sorted({one.id for one in settled if not one.said}):
        due.ask(connection, SETTLE, id_, now_ms())


def settle(connection: sa.Connection, settled: Sequence[Settled]) -> None:
    """Write outcomes down, in order of the ids. What has another state than it was read in has got
    another word meanwhile, and keeps it.
    """
    for one in sorted(settled, key=_by_id):
        same = sa.and_(sends.c.id == one.id, sends.c.state == one.was)
        connection.execute(sa.update(sends).where(same).values(_values(one)))


def _by_id(one: Settled) -> str:
    """Two of one send stay in their order."""
    return one.id


def _values(one: Settled) -> dict[str, Any]:
    values: dict[str, Any] = {
        "state": one.state,
        "reason": Permanent.reason if one.state == "failed" else "",
        "code": one.code[:_LONGEST],
        "detail": one.detail[:_LONGEST],
        "said": one.said,
        "changed_at_ms": now_ms(),
    }
    kept = {"message": one.message, "sealed": one.sealed}
    return values | {name: value for name, value in kept.items() if value is not None}
