"""Tokens in escrow: what the revoking saga needs when the provider was away."""

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from storage.database import Database
from storage.schema import escrow


class InEscrow(NamedTuple):
    """A grant's token, sealed to the escrow key of `day`; to be used before `until_ms`."""

    id: str
    tenant: str
    grant: str
    login: str
    day: int
    sealed: bytes
    created_at_ms: int
    until_ms: int


class EscrowStore:
    """Stores tokens in escrow in one database. They outlive the tenant's erasing: that is their
    point.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: InEscrow) -> None:
        """Store `new`; its id tells it from others of the same grant."""
        with self._database.write() as connection:
            connection.execute(sa.insert(escrow).values(new._asdict()))

    def of_grant(self, tenant: str, grant: str, at_ms: int) -> Sequence[InEscrow]:
        """What is in escrow of a grant and not over at `at_ms`, oldest first."""
        its = (escrow.c.tenant == tenant, escrow.c.grant == grant, escrow.c.until_ms > at_ms)
        query = sa.select(escrow).where(*its).order_by(escrow.c.created_at_ms, escrow.c.id)
        with self._database.read() as connection:
            return [InEscrow(*row) for row in connection.execute(query)]

    def remove(self, id: str) -> None:  # noqa: A002
        """The saga is done with it. Repeatable."""
        with self._database.write() as connection:
            connection.execute(sa.delete(escrow).where(escrow.c.id == id))

    def drop_over(self, at_ms: int) -> int:
        """Remove what is over at `at_ms`; how many that were."""
        with self._database.write() as connection:
            return connection.execute(sa.delete(escrow).where(escrow.c.until_ms <= at_ms)).rowcount
