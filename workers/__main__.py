"""`python -m workers worker|schedule`: the processes behind `gateway worker` and `gateway
schedule`.
"""

import gc
import signal
import sys
import warnings
from datetime import timedelta
from types import FrameType

import structlog

from contracts import logs
from contracts.errors import GatewayError, Unavailable
from contracts.settings import Settings, environment, load
from workers import queue, upkeep


def run_worker(settings: Settings, environ: dict[str, str]) -> int:
    """Work until SIGTERM or SIGINT, then finish what is under way. Returns the exit code.

    Waits for the keys first. Raises `UnknownKey | Tampered | Misconfigured` when they are not those
    of this key store.
    """
    from celery.exceptions import SecurityWarning

    from workers.composition import Parts
    from workers.readiness import wait_for_keys
    from workers.tasks import celery_with_tasks

    # Celery warns that root runs a worker: a danger with pickled tasks, and ours are JSON only.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)  # until Celery takes them
    parts = Parts(settings, environ)
    wait_for_keys(parts.vault.check)
    app = celery_with_tasks(parts)
    gc.freeze()  # with the default thresholds, collecting took nearly a tenth of a drain
    gc.set_threshold(10_000, 20, 50)
    parts.start()
    try:
        worker = app.Worker(
            pool="threads",
            concurrency=2,
            without_gossip=True,
            without_mingle=True,
            loglevel=settings.log_level.upper(),
            quiet=True,
        )
        worker.start()
        return int(worker.exitcode or 0)
    finally:
        parts.stop()


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Nothing is under way yet."""
    raise SystemExit(0)


def run_schedule(settings: Settings) -> int:
    """Ask for upkeep now and every hour, until SIGTERM or SIGINT."""
    app = queue.celery_app(settings.broker)
    every = {"task": queue.UPKEEP, "schedule": timedelta(seconds=upkeep.EVERY_S)}
    app.conf.beat_schedule = {"upkeep": every}
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        queue.Queue(settings.broker).upkeep()
    except Unavailable as error:
        structlog.get_logger().warning("schedule.not_asked_yet", detail=str(error))
    app.Beat(
        schedule=str(settings.data_dir / "schedule"),
        loglevel=settings.log_level.upper(),
        quiet=True,
        redirect_stdouts=False,
    ).run()
    return 0


def main(arguments: list[str]) -> int:
    environ = environment()
    try:
        settings = load(Settings, environ)
        logs.configure(settings.log_format, settings.log_level)
        logs.catch_uncaught()
        if arguments == ["worker"]:
            return run_worker(settings, environ)
        if arguments == ["schedule"]:
            return run_schedule(settings)
    except GatewayError as error:
        sys.stderr.write(f"{error.reason}: {error}\n")
        return 1
    sys.stderr.write("usage: python -m workers worker|schedule\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
