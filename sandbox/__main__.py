"""The command line: `python -m sandbox serve`."""

import contextlib
import os
import signal
import socket
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
import uvicorn

from sandbox.app import Sandbox, build
from sandbox.settings import (
    BadSetting,
    Settings,
    optional_secret,
    read_configurations,
    read_pages,
    read_secret,
)

GRACE_S = 5
KEEP_ALIVE_S = 75
"""Longer than clients keep a connection that they do not use."""

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


def secret_file(variable: str, login: str) -> Any:
    """Return the option that names the file of a secret; its variable ends with `_FILE`."""
    return typer.Option(
        envvar=f"{variable}_FILE",
        exists=True,
        dir_okay=False,
        help=f"File with {login}; else {variable} is read.",
    )


def callback(variable: str, path: str) -> Any:
    """Return the option of a URL that a provider calls by itself."""
    return typer.Option(envvar=variable, help=f"Default: {path} at the webhook's origin.")


@cli.command()
def serve(  # noqa: PLR0913, PLR0917 - each is an option
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8090,
    webhook_url: Annotated[
        str, typer.Option(envvar="SANDBOX_WEBHOOK_URL", help="Where webhooks are posted.")
    ] = "http://127.0.0.1:8080/webhooks/meta",
    app_id: Annotated[str, typer.Option(envvar="META_APP_ID", help="The Meta app's id.")] = "",
    app_secret_file: Annotated[
        Path | None, secret_file("META_APP_SECRET", "the app secret")
    ] = None,
    verify_token: Annotated[
        str, typer.Option(envvar="META_VERIFY_TOKEN", help="What the handshake sends.")
    ] = "",
    page: Annotated[
        list[str] | None,
        typer.Option(help='A Page as ID:"Name", may be repeated; else SANDBOX_PAGES is read.'),
    ] = None,
    instagram_app_id: Annotated[
        str, typer.Option(envvar="INSTAGRAM_APP_ID", help="The Instagram app's id.")
    ] = "",
    instagram_app_secret_file: Annotated[
        Path | None, secret_file("INSTAGRAM_APP_SECRET", "the Instagram app's secret")
    ] = None,
    google_client_id: Annotated[
        str, typer.Option(envvar="GOOGLE_CLIENT_ID", help="The OAuth client's id.")
    ] = "",
    google_client_secret_file: Annotated[
        Path | None, secret_file("GOOGLE_CLIENT_SECRET", "the OAuth client's secret")
    ] = None,
    redirect_uri: Annotated[
        list[str] | None,
        typer.Option(
            envvar="SANDBOX_REDIRECT_URIS",
            help="A redirect address registered for every login, may be repeated; else "
            "/oauth/{login}/callback at the webhook's origin.",
        ),
    ] = None,
    deauthorize_url: Annotated[str, callback("SANDBOX_DEAUTHORIZE_URL", "/meta/deauthorize")] = "",
    data_deletion_url: Annotated[
        str, callback("SANDBOX_DATA_DELETION_URL", "/meta/data-deletion")
    ] = "",
    risc_url: Annotated[str, callback("SANDBOX_RISC_URL", "/webhooks/google-risc")] = "",
) -> None:
    """Serve until SIGTERM or SIGINT."""
    try:
        settings = Settings(
            webhook_url=webhook_url,
            app_secret=read_secret(os.environ.get("META_APP_SECRET"), app_secret_file),
            verify_token=verify_token,
            pages=read_pages(page or [], os.environ.get("SANDBOX_PAGES")),
            app_id=app_id,
            instagram_app_id=instagram_app_id,
            instagram_app_secret=optional_secret(
                os.environ.get("INSTAGRAM_APP_SECRET"), instagram_app_secret_file
            ),
            google_client_id=google_client_id,
            google_client_secret=optional_secret(
                os.environ.get("GOOGLE_CLIENT_SECRET"), google_client_secret_file
            ),
            redirect_uris=tuple(redirect_uri or ()),
            configurations=read_configurations(os.environ.get("SANDBOX_LOGIN_CONFIGS")),
            deauthorize_url=deauthorize_url,
            data_deletion_url=data_deletion_url,
            risc_url=risc_url,
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
        timeout_keep_alive=KEEP_ALIVE_S,
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
