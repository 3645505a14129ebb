"""The vault: key store, key-encryption key, keyring file."""

import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.cli.doctor.finding import Finding, fault, ok, warn
from gateway.cli.parts import Parts

LOCAL: Final = "local:"


def store(built: Parts) -> Iterator[Finding]:
    """Whether the key store answers, its keys open, and days ahead have theirs."""
    if built.settings.keystore == built.settings.database:
        advice = "set GATEWAY_KEYSTORE_URL: destroyed keys must not live on in its backups"
        yield fault("key store", "it is the main database", advice)
    days = {day for day, destroyed in built.vault.days() if not destroyed}
    built.vault.check()
    today = datetime.now(UTC).date()
    if today not in days:
        yield fault("key store", "no key for today's deliveries", "gateway db upgrade")
    elif today + timedelta(days=1) not in days:
        yield warn("key store", "no key for tomorrow's deliveries", "is the scheduler running?")
    else:
        advice = "back it up apart from the main database, and keep copies for at most 7 days"
        yield ok("key store", "answers, and its key-encryption key opens it", advice)


def keyring(built: Parts) -> Iterator[Finding]:
    """The local keyring file: who may read it, and that it must be kept safe."""
    if not built.settings.kek.startswith(LOCAL):
        yield ok("keyring", "the key-encryption key is not a local file")
        return
    path = Path(built.settings.kek.removeprefix(LOCAL))
    if not path.exists():
        advice = "put its copy back; where there was none yet: gateway db upgrade"
        yield fault("keyring", f"{path} is not there", advice)
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield fault("keyring", f"{path} has mode {mode:04o}", f"chmod 600 {path}")
    else:
        advice = "keep a copy elsewhere: without it nothing stored can be read"
        yield ok("keyring", f"{path}, mode {mode:04o}", advice)
