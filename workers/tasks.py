"""The Celery tasks: what others ask of a worker, and could just as well not have."""

from typing import Any

from workers import queue
from workers.composition import Parts


def celery_with_tasks(parts: Parts) -> Any:
    """The Celery app whose tasks are the jobs of `parts`; each task is a nudge and may be lost."""
    app = queue.celery_app(parts.settings.broker)

    @app.task(name=queue.NUDGE)  # type: ignore[untyped-decorator]
    def nudge(lanes: list[int]) -> None:
        parts.lanes.add(lanes)

    @app.task(name=queue.ROUTE)  # type: ignore[untyped-decorator]
    def route_unrouted() -> None:
        parts.stranded.route()

    @app.task(name=queue.REPLAY)  # type: ignore[untyped-decorator]
    def replay(replay_id: str) -> None:
        parts.replayer.run(replay_id)

    @app.task(name=queue.DUE)  # type: ignore[untyped-decorator]
    def due() -> None:
        parts.scheduler.look()
        parts.media_scheduler.look()
        parts.send_scheduler.look()

    @app.task(name=queue.UPKEEP)  # type: ignore[untyped-decorator]
    def upkeep() -> None:
        parts.upkeep.run()

    return app
