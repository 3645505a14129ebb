"""The commands that run processes: all in one, or one each."""

import os
import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from contracts.settings import Settings, unknown
from gateway.cli.output import note
from gateway.cli.parts import make_data_dir, parts

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")]

sandbox = typer.Typer(help="The sandbox plays the providers, offline.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (run, serve, worker, schedule, check):
        app.command()(command)
    app.add_typer(sandbox, name="sandbox")


def run(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    with_sandbox: Annotated[
        bool,
        typer.Option("--sandbox/--no-sandbox", help="Also play the providers, with a demo Page."),
    ] = False,
    sandbox_port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help="Port of the sandbox.",
            show_default="8090, or a free one where that is taken",
        ),
    ] = None,
) -> None:
    """All in one: edge, worker, scheduler, and the sandbox if asked. Restarted when they die."""
    from gateway.cli.all_in_one import run_all

    if sandbox_port is not None and not with_sandbox:
        raise typer.BadParameter("only with --sandbox", param_hint="--sandbox-port")
    run_all(host, port, with_sandbox=with_sandbox, sandbox_port=sandbox_port)


def serve(host: Host = "127.0.0.1", port: Port = 8080) -> None:
    """The edge: webhooks in, messages out. Stops gracefully on SIGTERM."""
    from contracts import logs
    from gateway.serve import serve as serve_edge

    settings, environ = _settings()
    logs.configure(settings.log_format, settings.log_level)
    serve_edge(settings, environ, host, port)


def worker() -> None:
    """A worker: drains the inbox into the message log, and does what is ordered."""
    _settings()
    _become("workers", "worker")


def schedule() -> None:
    """The scheduler: orders what is due. One is enough; two do no harm."""
    _settings()
    _become("workers", "schedule")


def check(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Look at everything that can be wrong. A line per finding, exit code 1 on a fault."""
    from gateway.cli.doctor import check_all

    raise typer.Exit(check_all(as_json=as_json))


@sandbox.callback()
def sandbox_commands() -> None:
    """The sandbox plays the providers, offline."""


@sandbox.command(
    "serve",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def sandbox_serve(context: typer.Context) -> None:
    """Serve the sandbox; takes the options of `python -m sandbox serve`."""
    _become("sandbox", "serve", *context.args)


def _settings() -> tuple[Settings, Mapping[str, str]]:
    """Settings and environment of a process that starts. Raises `Misconfigured`; only warns of what
    is no setting, because an older version may not know a newer one's.
    """
    with parts() as built:
        make_data_dir(built.settings.data_dir)
        for name in unknown(built.environ):
            note(f"gateway: {name} is no setting, and is ignored")
        return built.settings, built.environ


def _become(module: str, *arguments: str) -> None:
    """Replace this process, so that signals and exit codes are the other program's own."""
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606
