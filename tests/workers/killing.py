"""A process that is killed, played within ours: right after a commit."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from storage.database import Database


class Killed(BaseException):
    """The process ends here."""


class Fragile(Database):
    """A database whose process is killed after the commit number `after`."""

    after = 1 << 30

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        with super().write() as connection:
            yield connection
        self.after -= 1
        if self.after == 0:
            raise Killed
