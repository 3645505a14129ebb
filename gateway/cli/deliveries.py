"""`gateway deliveries`: what came in and waits, found no connection, or could not be read."""

import typer

app = typer.Typer(help="Stored deliveries.", no_args_is_help=True)
