"""A worker in a process of its own, which one of its rows kills.

`python crashers.py DATABASE KIND` runs all that is due, until nothing has been for three seconds.
"""

import os
import sys
import time
from concurrent.futures import wait
from typing import Final

from storage.database import Database
from storage.due import DueRows, Taken
from workers.metrics import Metrics
from workers.scheduler import Scheduler

POISON: Final = "poison"
"""The key of the row that kills."""
KILLED: Final = 9
"""How a process ends that it killed."""


def main(url: str, kind: str) -> None:
    database = Database(url, pool_size=20)
    rows = DueRows(database)

    def job(row: Taken) -> None:
        if row.key == POISON:
            time.sleep(0.2)  # so that its neighbours have begun, if they may
            os._exit(KILLED)
        time.sleep(0.4 if row.crashes else 60)  # dies with it, if both are under way
        rows.finish(row, None)

    scheduler = Scheduler(rows, {kind: job}, Metrics())
    quiet_since = time.monotonic()
    while time.monotonic() < quiet_since + 3:
        if wait(scheduler.run_due()).done:
            quiet_since = time.monotonic()
        time.sleep(0.05)
    scheduler.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
