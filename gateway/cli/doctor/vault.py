"""The vault: key store, key-encryption key in its file or its KMS."""

import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from contracts.errors import KeyDestroyed, Tampered, UnknownKey
from gateway.cli.doctor.finding import Finding, fault, ok, warn
from gateway.cli.parts import Parts
from storage.log import MessageLog, Row
from storage.message_id import seal_id
from token_vault import Purpose, load_kek

LOCAL: Final = "local:"
KEPT: Final = {
    "aws-kms": "AWS alone has the key: alarm on ScheduleKeyDeletion, and let it wait its 30 days",
    "gcp-kms": "Google alone has the key: alarm on DestroyCryptoKeyVersion, let it wait 30 days",
    "hcvault": "back up Vault and its unseal keys: without this key nothing stored can be read",
}
"""By the scheme of the key-encryption key's URI: what keeps it from being lost."""
NEWEST: Final = 100
"""How many messages are opened."""


def store(built: Parts) -> Iterator[Finding]:
    """Whether the key store answers, its keys open, and days ahead have theirs."""
    if built.settings.keystore == built.settings.database:
        advice = "set GATEWAY_KEYSTORE_URL: destroyed keys must not live on in its backups"
        yield fault("key store", "it is the main database", advice)
    days = {day for day, destroyed in built.vault.days() if not destroyed}
    if broken := built.vault.broken():
        text = f"{len(broken)} of the keys tried do not open: {', '.join(broken)}"
        yield fault("key store", text, "was the key store changed, or restored from an older copy?")
    today = datetime.now(UTC).date()
    if today not in days:
        yield fault("key store", "no key for today's deliveries", "gateway db upgrade")
    elif today + timedelta(days=1) not in days:
        yield warn("key store", "no key for tomorrow's deliveries", "is the scheduler running?")
    else:
        advice = "back it up apart from the main database, and keep copies for at most 7 days"
        yield ok("key store", "answers, and its key-encryption key opens it", advice)


def messages(built: Parts) -> Iterator[Finding]:
    """Whether the newest messages open: readers are led past those that do not."""
    log = MessageLog(built.database)
    rows = [row for row in log.read(log.back(NEWEST), NEWEST).rows if row.sealed is not None]
    broken = [row.position for row in rows if not _opens(built, row)]
    if broken:
        shown = ", ".join(map(str, broken[:5]))
        advice = "was the database changed, or the key store restored from an older copy?"
        text = f"{len(broken)} of the newest {len(rows)} do not open, e.g. position {shown}"
        yield fault("messages", text, advice)
    else:
        yield ok("messages", f"the newest {len(rows)} open" if rows else "none yet")


def _opens(built: Parts, row: Row) -> bool:
    """Whether a message opens, or was erased with its tenant."""
    try:
        keys = built.vault.tenant(row.tenant)
        keys.open(Purpose.MESSAGE, seal_id(row.day, row.hash), row.sealed or b"")
    except KeyDestroyed:
        return True
    except (Tampered, UnknownKey):
        return False
    return True


def keyring(built: Parts) -> Iterator[Finding]:
    """The local keyring file: who may read it, and that it must be kept safe."""
    if not built.settings.kek.startswith(LOCAL):
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


def kms(built: Parts) -> Iterator[Finding]:
    """Whether the KMS lets the gateway wrap and unwrap; who keeps its key. It says why not."""
    uri = built.settings.kek
    if uri.startswith(LOCAL):
        return
    key = load_kek(uri)
    key.decrypt(key.encrypt(b"", b"check"), b"check")
    yield ok("kms", f"{uri} answers", KEPT[uri.partition(":")[0]])
