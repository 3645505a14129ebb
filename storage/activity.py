"""When something was last received for a connection, and how long it is used to hear nothing."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from storage.connecting_schema import activity
from storage.database import Database

WATCH: Final = "silence"
"""The kind of a connection's due row, by which its silence is noticed; its key is the
connection's id."""


class Activity(NamedTuple):
    """`silences`: day since 1970 (as text) → the longest silence that ended that day, in
    milliseconds; days on which nothing came are not there.
    """

    connection: str
    last_at_ms: int
    silences: Mapping[str, int]


class ActivityStore:
    """The activity of one database's connections."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, ids: Collection[str]) -> Mapping[str, Activity]:
        """What is known of those of `ids` for which something was ever received."""
        query = sa.select(activity).where(activity.c.connection.in_(ids))
        with self._database.read() as connection:
            return {row[0]: Activity(*row) for row in connection.execute(query)}

    def put(self, heard: Sequence[Activity]) -> None:
        """Store in one statement. Of two processes that heard of a connection at once the later
        one counts: what is lost is a silence of seconds.
        """
        insert = (postgresql if self._database.is_postgresql else sqlite).insert(activity)
        later = insert.on_conflict_do_update(
            index_elements=["connection"],
            set_={"last_at_ms": insert.excluded.last_at_ms, "silences": insert.excluded.silences},
            where=activity.c.last_at_ms <= insert.excluded.last_at_ms,
        )
        if heard:
            with self._database.write() as connection:
                connection.execute(later, [row._asdict() for row in sorted(heard)])
