"""Notes on the machine that a figure was measured on."""

import os
import platform
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg

from benchmarks.figures import Machine
from tests.services import postgres_server_url

_SETTINGS: Final = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_level",
    "shared_buffers",
    "max_wal_size",
)


def machine() -> Machine:
    """This machine, now."""
    return Machine(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        cores=len(os.sched_getaffinity(0)),
        cpu=_cpu(),
        kernel=platform.release(),
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        postgresql=_postgresql(),
        load_before=round(os.getloadavg()[0], 2),
    )


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _postgresql() -> dict[str, str]:
    try:
        with psycopg.connect(postgres_server_url(), connect_timeout=3) as connection:
            named = "SELECT name, current_setting(name) FROM unnest(%s::text[]) AS name"
            return dict(connection.execute(named, (list(_SETTINGS),)).fetchall())
    except psycopg.OperationalError:
        return {}
