"""This machine: its environment and its disk."""

import shutil
from collections.abc import Iterator
from typing import Final

from contracts.errors import Misconfigured
from contracts.settings import unknown
from gateway.cli.doctor.finding import Finding, fault, ok, warn
from gateway.cli.parts import Parts

GIB: Final = 1 << 30
WARN_BELOW: Final = 2 * GIB
FAULT_BELOW: Final = GIB // 4


def names(built: Parts) -> Iterator[Finding]:
    """Whether every name that begins as our settings do is one."""
    for name in (wrong := unknown(built.environ)):
        yield fault("settings", f"{name} is no setting, and is ignored", "see .env.example")
    if not wrong:
        yield ok("settings", "every GATEWAY_ name is known")


def disk(built: Parts) -> Iterator[Finding]:
    """How much room the data directory has; a full disk stops the embedded database."""
    folder = built.settings.data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise Misconfigured(f"{folder}: {error.strerror}") from None
    text = f"{free / GIB:.1f} GiB free for {built.settings.data_dir}"
    if free < FAULT_BELOW:
        yield fault("disk", text, "make room; deliveries are refused when it is full")
    elif free < WARN_BELOW:
        yield warn("disk", text, "make room")
    else:
        yield ok("disk", text)
