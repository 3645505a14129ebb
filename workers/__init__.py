"""Background work: drains, sweeps, replays and upkeep, carried by Celery."""
