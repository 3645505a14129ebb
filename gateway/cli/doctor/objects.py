"""The object store, where media are kept."""

import secrets
from collections.abc import Iterator

from gateway.cli.doctor.finding import Finding, fault, ok
from gateway.cli.parts import Parts
from storage.objects import open_objects

_CONTENT = b"written by gateway check"


def usable(built: Parts) -> Iterator[Finding]:
    """Whether it does what media need. Raises `ObjectsUnavailable`, `Misconfigured`."""
    store, name = open_objects(built.settings), f"check_{secrets.token_hex(8)}"
    store.put(name, [_CONTENT])
    try:
        read = b"".join(store.read(name, 0, len(_CONTENT)))
    finally:
        store.delete(name)
    if read == _CONTENT:
        yield ok("objects", "media can be written, read and deleted")
    else:
        yield fault("objects", "what was read is not what was written", "look at the object store")
