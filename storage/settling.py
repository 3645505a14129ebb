"""What providers tell of sends, within the drain's transaction."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from contracts.errors import Permanent
from storage import due
from storage.database import now_ms
from storage.outbox import SETTLE, learnt, stay_erased
from storage.sending_schema import State, sends
from storage.turns import Settled

_LONGEST: Final = 300
_BEFORE: Final[Mapping[State, tuple[State, ...]]] = {
    "sent": ("queued", "sending", "unknown"),
    "failed": ("queued", "sending", "unknown", "sent"),
}
"""An outcome → the states that it follows."""


def tell_later(connection: sa.Connection, settled: Sequence[Settled]) -> None:
    """Have somebody tell the outcome of those that the feed does not have by the provider's word:
    due rows come before all other locks, in order of their keys.
    """
    for id_ in sorted({one.id for one in settled if not one.said}):
        due.ask(connection, SETTLE, id_, now_ms())


def settle(connection: sa.Connection, settled: Sequence[Settled]) -> None:
    """Write outcomes down, in order of the ids, whatever the worker that sends has written since
    they were read. The first word counts, but what was taken may still fail.
    """
    for one in sorted(settled, key=_by_id):
        this = sa.and_(sends.c.id == one.id, sends.c.state.in_(_BEFORE[one.state]))
        connection.execute(sa.update(sends).where(this).values(_values(one)))
    if ids := sorted({one.id for one in settled if one.contact is not None}):
        stay_erased(connection, ids)


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
    return values | learnt({"message": one.message, "contact": one.contact, "sealed": one.sealed})
