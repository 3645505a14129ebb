"""`python -m tests.leaks.faulty [leak]`: drains everything once with a connector that fails on all
it is given and puts it into the error's text; then fails itself, in a thread and in its main.

With `leak` it also logs what it is given, as nothing of ours does: the control of the search.
"""

import sys
import threading
from collections.abc import Iterator

import structlog

from connectors.facebook import Facebook
from connectors.kit.meta.settings import MetaSettings
from contracts import logs
from contracts.connector import Account, Event, Item, Unreadable
from contracts.settings import Settings, environment, load
from workers.composition import Parts

log = structlog.get_logger()
LANES = range(1024)


class Faulty(Facebook):
    """Its errors hold what a contact wrote, as those of careless libraries do."""

    leaks = False
    seen = ""

    def normalize(self, item: Item, account: Account) -> Iterator[Event | Unreadable]:
        Faulty.seen = item.raw.decode()
        if self.leaks:
            log.error("faulty", detail=Faulty.seen[-400:])
        raise ValueError(f"cannot read {Faulty.seen} of {account.id}")


def drain(environ: dict[str, str], *, leak: bool) -> None:
    """Drain all lanes."""
    connector = Faulty(load(MetaSettings, environ))
    connector.leaks = leak
    parts = Parts(load(Settings, environ), environ, connectors={"facebook": connector})
    parts.drainer.drain(LANES)


def fail() -> None:
    """As a mistake of ours would."""
    raise KeyError(Faulty.seen)


if __name__ == "__main__":
    logs.configure("json", "debug")
    logs.catch_uncaught()
    drain(environment(), leak="leak" in sys.argv)
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    fail()
