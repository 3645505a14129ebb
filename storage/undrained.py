"""Which lanes have something to drain, and where on SQLite a lane's items are found.

PostgreSQL's primary key of the inbox begins with the lane. With SQLite an index by lane costs more
than the row itself: with many accounts nearly every row of a batch touches another page of it, and
touched pages go to the log whole. So its index begins with a *segment*, the upper bits of the id:
new rows touch the few pages of the newest segment, and a lane is read segment by segment from its
mark on. For that its mark must not lie far behind (`left_behind`).
"""

from typing import Any, Final

import sqlalchemy as sa

from storage.leases import LANE
from storage.schema import deferred, inbox, leases, segment

_NUMBER: Final = sa.cast(leases.c.key, sa.SmallInteger)
_LAST: Final = sa.select(segment(sa.func.max(inbox.c.id))).scalar_subquery()


def lanes(is_postgresql: bool, *those: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Keys of `those` leases of lanes that something stands behind the mark of, or that had
    something put off.
    """
    put_off = sa.exists().where(deferred.c.lane == _NUMBER)
    behind: sa.ColumnElement[bool]
    if is_postgresql:
        behind = sa.exists().where(inbox.c.lane == _NUMBER, inbox.c.id > leases.c.mark)
    else:
        looked = _looked(*those)
        behind = leases.c.key.in_(sa.select(looked.c.key).where(looked.c.found))
    return sa.select(leases.c.key).where(leases.c.kind == LANE, *those, sa.or_(behind, put_off))


def left_behind(clock: sa.ColumnElement[int]) -> sa.Select[Any]:
    """SQLite: lanes that nobody holds by `clock` and that are drained, with their mark in an older
    segment than the newest.

    Columns: `lane` (the lease's key), `from` (its mark) and `newest` (the inbox's newest id).
    """
    looked = _looked(leases.c.until_ms <= clock, segment(leases.c.mark) < _LAST)
    newest = sa.select(sa.func.max(inbox.c.id)).scalar_subquery()
    drained = sa.and_(~looked.c.found, looked.c.segment == _LAST)
    columns = looked.c.key.label("lane"), looked.c.mark.label("from"), newest.label("newest")
    return sa.select(*columns).where(drained)


def _looked(*those: sa.ColumnElement[bool]) -> sa.CTE:
    """SQLite: a row a lane and segment, from its mark's on, until something is `found` or no
    segment is left.
    """
    before = segment(leases.c.mark) - 1
    first = sa.select(
        leases.c.key, leases.c.mark, before.label("segment"), sa.false().label("found")
    )
    looked = first.where(leases.c.kind == LANE, *those).cte("looked", recursive=True)
    number = looked.c.segment + 1
    here = sa.exists().where(
        segment(inbox.c.id) == number,
        inbox.c.lane == sa.cast(looked.c.key, sa.SmallInteger),
        inbox.c.id > looked.c.mark,
    )
    rest = sa.and_(~looked.c.found, looked.c.segment < _LAST)
    return looked.union_all(sa.select(looked.c.key, looked.c.mark, number, here).where(rest))
