"""A worker that looks for due rows when it is told, and otherwise once in a long while.

`python due_worker.py DATABASE DATA_DIR BROKER KIND EVERY_S` says `ready`, and `began KEY AT_MS` of
every row of KIND.
"""

import os
import sys
from pathlib import Path
from types import MappingProxyType

from celery.signals import worker_ready

from contracts.settings import Settings
from storage.database import now_ms
from storage.due import DueRows, Taken
from workers.composition import Parts
from workers.repeating import Repeating
from workers.scheduler import Scheduler
from workers.tasks import celery_with_tasks


def say(line: str) -> None:
    """One write, so that lines of many threads stay whole."""
    os.write(1, f"{line}\n".encode())


def main(database: str, folder: str, broker: str, kind: str, every_s: str) -> None:
    settings = Settings(data_dir=Path(folder), database_url=database, broker_url=broker)
    parts = Parts(settings, MappingProxyType({}))
    rows = DueRows(parts.database)

    def job(row: Taken) -> None:
        say(f"began {row.key} {now_ms()}")
        rows.finish(row, None)

    parts.scheduler = Scheduler(rows, {kind: job}, parts.metrics)
    parts.scheduler._finder = Repeating("scheduler", float(every_s), parts.scheduler._look)
    parts.scheduler.start()

    @worker_ready.connect(weak=False)  # type: ignore[untyped-decorator]
    def ready(**_: object) -> None:
        say("ready")

    app = celery_with_tasks(parts)
    worker = app.Worker(pool="threads", concurrency=2, without_gossip=True, without_mingle=True)
    worker.start()
    parts.scheduler.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
