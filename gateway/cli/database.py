"""`gateway db`: the schemas of main database and key store, and what follows a restore."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import typer

from gateway.cli.parts import Parts, parts

app = typer.Typer(
    help="The databases: their schema, and what follows a restore.", no_args_is_help=True
)


@app.command()
def upgrade() -> None:
    """Bring the main database and the key store to what this version needs; repeatable."""
    with parts() as built:
        set_up(built, say=typer.echo)


@app.command()
def restored(
    force: Annotated[
        bool, typer.Option("--force", help="Also while leases are held: nothing else is running.")
    ] = False,
) -> None:
    """After a restore, before anything runs: tell readers and connections, erase again."""
    from gateway.cli.restoring import put_right, refuse_while_at_work

    with parts() as built:
        if not force:
            refuse_while_at_work(built)
        put_right(built, say=typer.echo)


def set_up(built: Parts, say: Callable[[str], None]) -> None:
    """Migrate the main database, then the key store, and make the keys of the coming days."""
    from storage import migrate
    from storage.partitions import AHEAD_DAYS

    before = migrate.revision(built.any_database)
    migrate.upgrade(built.any_database)
    after = migrate.revision(built.any_database)
    change = "as it was" if before == after else f"upgraded from {before or 'nothing'}"
    say(f"main database: revision {after}, {change}")
    built.vault.upgrade()
    built.vault.deployment()
    say("key store: up to date")
    built.vault.ensure_days(datetime.now(UTC).date(), AHEAD_DAYS + 1)
    say(f"keys for raw deliveries: made up to {AHEAD_DAYS} days ahead")
