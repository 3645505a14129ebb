"""Opens the main database, also through a pooler in transaction mode (PgBouncer, for example).

Behind one, two statements that are not of one transaction may go to two of the server's sessions.
So nothing may be left in a session: no prepared statements, no SET, no advisory locks beyond a
transaction, no LISTEN. What needs a session goes past the pooler (`direct_database`).
"""

from typing import Any

import sqlalchemy as sa

from contracts.settings import Settings
from storage.database import Database


def open_database(settings: Settings, *, pool_size: int = 8) -> Database:
    """The main database, by whatever way the settings name. Raises `Misconfigured`."""
    database = Database(settings.database, pool_size=pool_size)
    if settings.has_pooler:
        sa.event.listen(database.engine, "do_connect", _leave_nothing_in_sessions)
    return database


def direct_database(settings: Settings, main: Database) -> Database:
    """A way to the main database on which sessions are kept: `main` where no pooler stands before
    it.
    """
    if not settings.has_pooler:
        return main
    return Database(settings.direct_database, pool_size=1)


def _leave_nothing_in_sessions(
    _dialect: object, _record: object, _arguments: object, parameters: dict[str, Any]
) -> None:
    """Time-outs are no business of a client's then: they are set for the role."""
    parameters["prepare_threshold"] = None
    parameters.pop("options", None)
