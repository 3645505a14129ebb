"""The command line: what each command is called and takes; its work is imported when it runs."""

import typer

from gateway.cli import connections, database, deliveries, keys, messages, processes, vault

app = typer.Typer(
    name="gateway",
    help="Webhooks of outside services in, one ordered stream of messages out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
processes.add_to(app)
app.add_typer(database.app, name="db")
app.add_typer(keys.app, name="keys")
app.add_typer(connections.app, name="connections")
app.add_typer(messages.app, name="messages")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(vault.app, name="vault")
