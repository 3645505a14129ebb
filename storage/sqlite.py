"""How every connection to a SQLite database of ours is set up. Imports nothing heavy."""

from typing import Any


def prepare_sqlite(raw: Any) -> None:
    """WAL with every commit on disk; the driver's own transaction handling switched off."""
    raw.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
        "cache_size=-16000",
        "temp_store=MEMORY",
    ):
        raw.execute(f"PRAGMA {pragma}").close()
