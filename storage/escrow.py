"""Tokens in escrow: what the revoking saga needs when the provider was away."""

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from storage.database import Database
from storage.schema import escrow


class InEscrow(NamedTuple):
    """A grant's tokens, sealed to the escrow key of `day`; to be used before `until_ms`, by the
    revocation that they are kept for.
    """

    id: str
    tenant: str
    grant: str
    login: str
    day: int
    sealed: bytes
    created_at_ms: int
    until_ms: int
    revocation: str


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

    def of_revocation(self, revocation: str, at_ms: int) -> Sequence[InEscrow]:
        """What is kept for a revocation and not over at `at_ms`, oldest first."""
        its = (escrow.c.revocation == revocation, escrow.c.until_ms > at_ms)
        query = sa.select(escrow).where(*its).order_by(escrow.c.created_at_ms, escrow.c.id)
        with self._database.read() as connection:
            return [InEscrow(*row) for row in connection.execute(query)]

    def drop(self, revocation: str) -> None:
        """The saga is done with what was kept for it. Repeatable."""
        with self._database.write() as connection:
            connection.execute(sa.delete(escrow).where(escrow.c.revocation == revocation))

    def drop_over(self, at_ms: int) -> int:
        """Remove what is over at `at_ms`; how many that were."""
        with self._database.write() as connection:
            return connection.execute(sa.delete(escrow).where(escrow.c.until_ms <= at_ms)).rowcount
