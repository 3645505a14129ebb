"""Where refused spans are told: the store, and until then a file, which a kill does not forget."""

import fcntl
import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from uuid import uuid4

from contracts.errors import GatewayError
from gateway.refused import ELSEWHERE, Route, Span
from storage.gaps import Gap, Gaps, gap
from token_vault import Vault

_EVERYBODY: Final = "-"
_LINE: Final = re.compile(r"(-|[0-9a-f]{32}) (\d{13})")


class HashedSpans:
    """Stores refused spans as gaps, under the keyed hash of their route."""

    def __init__(self, vault: Vault, gaps: Gaps) -> None:
        self._vault = vault
        self._gaps = gaps

    def add(self, spans: Sequence[Span]) -> None:
        """Raises `GatewayError` while the store or the key store is away."""
        self._gaps.add([self._gap(span) for span in spans])

    def add_left(self, left: Sequence["Left"], until_ms: int) -> None:
        """What an edge that died has left. Raises `GatewayError` likewise."""
        self._gaps.add(
            [gap(it.route, it.from_ms, max(it.from_ms, until_ms), "refused") for it in left]
        )

    def hash(self, route: Route) -> bytes | None:
        """How a route is known to the store; None for all of them. Raises `GatewayError`."""
        return None if route == ELSEWHERE else self._vault.deployment().hash("route", *route)

    def _gap(self, span: Span) -> Gap:
        return gap(self.hash(span[:2]), span.from_ms, span.until_ms, "refused")


class Left(NamedTuple):
    """From when on (Unix milliseconds) a dead edge refused a route (None: all)."""

    route: bytes | None
    from_ms: int


class SpanFile:
    """The routes that one edge process has refused and not told yet.

    `<folder>/<random>.spans`, locked by its process while that lives. A line is the keyed hash of a
    route, in hex, and the Unix milliseconds from when on it was refused. It holds no end: it is
    read when its process is dead, and then nothing was taken until somebody reads it.
    """

    def __init__(self, folder: Path, spans: HashedSpans) -> None:
        """Touches nothing until something was refused."""
        self._folder = folder
        self._spans = spans
        self._path = folder / f"{uuid4().hex}.spans"
        self._file: int | None = None
        self._busy = threading.Lock()  # at shutdown two threads may add, and both would open it

    def add(self, spans: Iterable[Span]) -> None:
        """Append, on disk when it returns. Raises `OSError`."""
        lines = [f"{self._name(span[:2])} {span.from_ms}" for span in spans]
        text = memoryview("\n".join(["", *lines, ""]).encode())  # apart from a torn line before
        with self._busy:
            file = self._opened()
            while text:
                text = text[os.write(file, text) :]
            os.fsync(file)

    def clear(self) -> None:
        """All is told. Raises `OSError`."""
        try:
            if self._file is not None:
                self._path.unlink(missing_ok=True)
        finally:
            self.close()

    def close(self) -> None:
        """Leave what is in it to the next edge."""
        with self._busy:
            file, self._file = self._file, None
            if file is not None:
                os.close(file)

    def tell_left(self, until_ms: int) -> None:
        """Tell what dead processes have left in the folder, and remove it.

        Raises `OSError` of the last file that cannot be read or removed, when all others are told,
        and `GatewayError` while the store is away: what is not told stays.
        """
        failed: OSError | None = None
        for path in sorted(self._folder.glob("*.spans")):
            try:
                self._tell_file(path, until_ms)
            except (BlockingIOError, FileNotFoundError):
                continue  # its process lives, or another edge was quicker
            except OSError as error:
                failed = error
        if failed is not None:
            raise failed

    def _tell_file(self, path: Path, until_ms: int) -> None:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_nlink:
                self._spans.add_left(list(_read(file.read())), until_ms)
                path.unlink()

    def _name(self, route: Route) -> str:
        try:
            name = self._spans.hash(route)
        except GatewayError:  # rather a gap too many than a name in clear, or none
            name = None
        return _EVERYBODY if name is None else name.hex()

    def _opened(self) -> int:
        if self._file is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            unlocked = self._path.with_suffix(".new")
            file = os.open(unlocked, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                unlocked.rename(self._path)  # nobody finds it without its lock
                _sync(self._folder)
            except OSError:
                os.close(file)
                raise
            self._file = file
        return self._file


def _read(raw: bytes) -> Iterator[Left]:
    """Its whole lines: the last one may have been cut off by the kill."""
    for line in raw.decode("ascii", "replace").splitlines():
        if found := _LINE.fullmatch(line):
            name, from_ms = found.groups()
            yield Left(None if name == _EVERYBODY else bytes.fromhex(name), int(from_ms))


def _sync(folder: Path) -> None:
    """Make a renaming in it durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
