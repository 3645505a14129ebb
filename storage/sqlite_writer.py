"""`python -m storage.sqlite_writer DATABASE`: writes the inbox of a SQLite database, for one edge.

A process of its own, because a thread shares the interpreter: each step of a statement lets go of
it, and a busy event loop gives it back late and at a price. With 256 connections an edge took in
0.91 of what a no-op endpoint does with this process, 0.84 with a thread that took one step a commit
and the shortest switch interval, 0.60 with a plain thread.

It reads batches from its standard input: a length of four bytes (big endian), then `(run key,
items)` as msgpack. It answers each with a line: `ok`, `invalid NAME` (nothing of the batch was
stored, nor ever will be) or `away NAME` (nothing was stored). It ends when its input does, which
is also how it outlives no edge.
"""

import signal
import sqlite3
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from storage.sqlite import prepare_sqlite
from storage.turn import Turn

LENGTH: Final = struct.Struct(">I")

_RUN_KEY: Final = "INSERT OR IGNORE INTO run_keys (id, day, wrapped) VALUES (?, ?, ?)"
_ITEM: Final = "INSERT INTO inbox (day, run_key, lane, provider, n, received_at_ms, sealed)"
_ITEMS: Final = {
    rows: f"{_ITEM} VALUES {', '.join(['(?, ?, ?, ?, ?, ?, ?)'] * rows)}"
    for rows in (64, 32, 16, 8, 4, 2, 1)
}
"""By how many rows they insert: 64 at once take about half the time of 64 singly."""


class Writer:
    """One connection, opened on first use and anew after an error; takes its turn among all writers
    of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = Turn(path.with_name(path.name + "-turn"))
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None

    def write(self, key: Sequence[Any], items: Sequence[Sequence[Any]]) -> str:
        """Commit a batch and return the line to answer."""
        run, day, _ = key
        rows = [(day, run, *item) for item in items]
        try:
            with self._turn:
                self._commit(key, rows)
        except (sqlite3.DataError, sqlite3.IntegrityError) as error:
            return f"invalid {type(error).__name__}"
        except (sqlite3.Error, OSError) as error:
            self._drop()
            return f"away {type(error).__name__}"
        return "ok"

    def _commit(self, key: Sequence[Any], rows: Sequence[tuple[object, ...]]) -> None:
        connection = self._connected()
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(_RUN_KEY, key)  # each time: the store may have been restored since
            for statement, values in _chunks(rows):
                connection.execute(statement, values)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def _connected(self) -> sqlite3.Connection:
        """Raises `FileNotFoundError` without a database. SQLite itself goes on writing into a file
        that was removed or replaced since it was opened.
        """
        found = self._path.stat()
        place = found.st_dev, found.st_ino
        if place != self._opened:
            self._drop()
        if self._connection is None:
            self._connection = sqlite3.connect(self._path, timeout=3)
            self._opened = place
            prepare_sqlite(self._connection)
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _chunks(rows: Sequence[tuple[object, ...]]) -> Iterator[tuple[str, list[object]]]:
    """`rows` in order, as few statements with their values."""
    done = 0
    for size, statement in _ITEMS.items():
        while len(rows) - done >= size:
            yield statement, [value for row in rows[done : done + size] for value in row]
            done += size


def serve(writer: Writer, batches: BinaryIO, answers: BinaryIO) -> None:
    """Write what comes until there is no more."""
    while len(head := batches.read(LENGTH.size)) == LENGTH.size:
        size = LENGTH.unpack(head)[0]
        body = batches.read(size)
        if len(body) < size:  # the edge died while it wrote: nobody was told that this is stored
            return
        answers.write(writer.write(*msgspec.msgpack.decode(body)).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # the edge says when it is over
        signal.signal(number, signal.SIG_IGN)
    serve(Writer(Path(sys.argv[1])), sys.stdin.buffer, sys.stdout.buffer)
