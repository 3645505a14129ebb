"""Objects as files of this machine: written aside, synced, renamed."""

import contextlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from contracts.errors import NotFound, ObjectsUnavailable
from storage.durable import sync_folder
from storage.objects.base import Found

_PIECE: Final = 65_536
_DRAFT: Final = ".draft-"
_DRAFT_OF: Final = re.compile(rf"^{re.escape(_DRAFT)}[0-9a-f]{{16}}-")


class Files:
    """Files of mode 0600 in folders of 0700, 256 of them: by the last two letters of the name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """See `ObjectStore.put`. A draft that a killed process left is removed with the sweep."""
        path = self._path(name)
        with _translated():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f"{_DRAFT}{secrets.token_hex(8)}-{name}")
        try:
            self._write(draft, pieces)
            with _translated():
                draft.replace(path)
                sync_folder(path.parent)
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)

    def read(self, name: str, start: int, length: int) -> Iterator[bytes]:
        """See `ObjectStore.read`. The file stays open until the end, or until it is let go of."""
        with _translated():
            try:
                file = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                raise NotFound("no such object") from None
        return _pieces(file, start, length)

    def delete(self, name: str) -> None:
        """See `ObjectStore.delete`."""
        with _translated():
            self._path(name).unlink(missing_ok=True)

    def names(self, beginning: str) -> Iterator[Found]:
        """See `ObjectStore.names`."""
        with _translated():
            every = sorted(self._folder.iterdir()) if self._folder.is_dir() else []
            folders = [one for one in every if len(one.name) == 2 and one.is_dir()]
        for folder in folders:
            with _translated():
                entries = list(os.scandir(folder))
            for entry in entries:
                if not _DRAFT_OF.sub("", entry.name).startswith(beginning):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    yield Found(entry.name, int(entry.stat().st_mtime * 1000))

    def _path(self, name: str) -> Path:
        return self._folder / name[-2:] / name

    def _write(self, draft: Path, pieces: Iterable[bytes]) -> None:
        with _translated():
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for piece in pieces:  # what these raise is theirs
                with _translated():
                    file.write(piece)
            with _translated():
                file.flush()
                os.fsync(file.fileno())


def _pieces(descriptor: int, start: int, length: int) -> Iterator[bytes]:
    with os.fdopen(descriptor, "rb") as file:
        while length > 0:
            with _translated():
                piece = os.pread(file.fileno(), min(_PIECE, length), start)
            if not piece:
                return
            yield piece
            start, length = start + len(piece), length - len(piece)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ObjectsUnavailable(f"objects: {error.strerror}") from None
