"""The command line: `python -m sandbox serve`."""

import contextlib
import os
import signal
import socket
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
import uvicorn

from sandbox.app import Sandbox, build
from sandbox.settings import BadSetting, Settings, read_pages, read_secret

GRACE_S = 5

cli = typer.Typer(no_args_is_help=True, add_completion=False)


class Server(uvicorn.Server):
    """Says its address in one line, and lets waiting readers go when it is told to stop."""

    def __init__(self, config: uvicorn.Config, sandbox: Sandbox) -> None:
        super().__init__(config)
        self._sandbox = sandbox

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then print the address."""
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            address = f"[{host}]" if ":" in host else host
            typer.echo(f"sandbox: http://{address}:{port}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: long polls answer at once, what is under way is finished."""
        self._sandbox.log.close()
        await super().shutdown(sockets)


@cli.callback()
def sandbox() -> None:
    """Play the outside services for the gateway, offline."""


@cli.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8090,
    webhook_url: Annotated[
        str, typer.Option(envvar="SANDBOX_WEBHOOK_URL", help="Where webhooks are posted.")
    ] = "http://127.0.0.1:8080/webhooks/meta",
    app_secret_file: Annotated[
        Path | None,
        typer.Option(
            envvar="META_APP_SECRET_FILE",
            exists=True,
            dir_okay=False,
            help="File with the app secret; else META_APP_SECRET is read.",
        ),
    ] = None,
    verify_token: Annotated[
        str, typer.Option(envvar="META_VERIFY_TOKEN", help="What the handshake sends.")
    ] = "",
    page: Annotated[
        list[str] | None,
        typer.Option(help='A Page as ID:"Name", may be repeated; else SANDBOX_PAGES is read.'),
    ] = None,
) -> None:
    """Serve until SIGTERM or SIGINT."""
    try:
        settings = Settings(
            webhook_url=webhook_url,
            app_secret=read_secret(os.environ.get("META_APP_SECRET"), app_secret_file),
            verify_token=verify_token,
            pages=read_pages(page or [], os.environ.get("SANDBOX_PAGES")),
        )
    except BadSetting as error:
        raise typer.BadParameter(str(error)) from error
    run(build(settings), host, port)


def run(built: Sandbox, host: str, port: int) -> None:
    """Run the server; a signal ends it with exit code 0, or 1 where it could not start."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _already_stopped)
    config = uvicorn.Config(
        built.app,
        host=host,
        port=port,
        log_level="warning",
        ws="none",
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = Server(config, built)
    with contextlib.suppress(SystemExit):  # uvicorn's own way of saying that it cannot listen
        server.run()
    if not server.started:
        raise typer.Exit(1)


def _already_stopped(_number: int, _frame: FrameType | None) -> None:
    """Uvicorn stops in its own handler and raises the signal again afterwards: that is this."""


if __name__ == "__main__":
    cli()
