"""A key-encryption key in a keyring file of this machine."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from contracts.errors import Misconfigured, Tampered
from storage.durable import sync_folder
from token_vault import keysets
from token_vault.keysets import Aead, Sealing


def open_keyring(path: Path) -> Aead:
    """The keyring at `path`, made on first use. Raises `Misconfigured` for a file that is not a
    keyset, cannot be read, or may be read by others.
    """
    try:
        if not path.exists():
            _create(path)
        return Sealing(keysets.from_json(_read(path)))
    except OSError as error:
        raise Misconfigured(f"keyring {path}: {error.strerror}") from None
    except (Tampered, UnicodeDecodeError):
        raise Misconfigured(f"keyring {path}: not a keyset in Tink's JSON format") from None


def _read(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise Misconfigured(f"keyring {path}: mode {mode:04o}, must be 0600 or stricter")
        return file.read()


def _create(path: Path) -> None:
    """Write a fresh keyring; when another process was first, leave that one's.

    Written whole and synced under a name of its own, then linked: a link never replaces a file,
    and nobody ever sees half of one.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(keysets.to_json(keysets.new_aead()))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)
