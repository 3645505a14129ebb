"""`gateway run`: the embedded default set up, its programs supervised, first steps shown."""

import fcntl
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import typer

from contracts.errors import Conflict, Misconfigured
from contracts.settings import Settings, environment, load
from gateway.cli.beside import told
from gateway.cli.database import set_up
from gateway.cli.demo import Demo
from gateway.cli.output import note
from gateway.cli.parts import make_data_dir, parts
from gateway.supervisor import Program, Supervisor

_PORT_WAIT_S: Final = 2.0
"""How long a port may still be held by what ran here before."""
_LOOPBACK: Final = "127.0.0.1"
_EVERYWHERE: Final = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not listened on
_COLORS: Final = {"edge": "cyan", "worker": "green", "schedule": "blue", "sandbox": "magenta"}


def run_all(host: str, port: int, *, with_sandbox: bool, sandbox_port: int | None = None) -> None:
    """Set up and supervise until SIGTERM or SIGINT. Raises `GatewayError` when it cannot start.

    Without `sandbox_port` the sandbox takes its usual port, or a free one.
    """
    given = {name: value for name, value in environment().items() if value}
    environ = dict(given)
    environ.setdefault("GATEWAY_PUBLIC_URL", f"http://localhost:{port}")
    data_dir = make_data_dir(load(Settings, environ).data_dir)
    note(f"Starting, with everything under {data_dir}/")
    near = _LOOPBACK if host in _EVERYWHERE else host
    with _only_one(data_dir):
        _check_port(host, port, "--port")
        if sandbox_port:
            _check_port(_LOOPBACK, sandbox_port, "--sandbox-port")
        demo = Demo(data_dir, _url(near, port), sandbox_port) if with_sandbox else None
        if demo:
            environ = demo.environ(environ)
        with parts(environ) as built:
            set_up(built, say=_nothing)
            key = demo.connect(built) if demo else None
        programs = _programs(environ, host, port)
        welcome = _welcome(_url("localhost" if near == _LOOPBACK else near, port), data_dir)
        if demo and key:
            programs.append(demo.program(environ))
            welcome += demo.first_steps(_url("localhost", port), key)
        listening = [(near, port), *([(_LOOPBACK, demo.port)] if demo else [])]
        supervisor = Supervisor(programs, _printer())
        with told(data_dir, given, environ):
            supervisor.run(
                lambda: all(_answers(*it) for it in listening), lambda: typer.echo(welcome)
            )
    note("Stopped.")


@contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    """Refuse a second run over the same data; the kernel lets go when this process ends."""
    path = data_dir / "run.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Misconfigured(f"GATEWAY_DATA_DIR: {error.strerror}: {path}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 32).decode(errors="replace").strip()
            raise Conflict(f"{data_dir} is in use by another gateway run, pid {owner}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(descriptor)


def _programs(environ: Mapping[str, str], host: str, port: int) -> list[Program]:
    edge = ["serve", "--host", host, "--port", str(port)]
    environ = {**environ, "PYTHONUNBUFFERED": "1"}
    return [
        Program(name, [sys.executable, "-m", "gateway", *command], environ)
        for name, command in (("edge", edge), ("worker", ["worker"]), ("schedule", ["schedule"]))
    ]


def _welcome(url: str, data_dir: Path) -> str:
    title = typer.style("CleverBox Gateway is running.", bold=True)
    return (
        f"\n  {title}  Ctrl-C stops it.\n\n"
        f"  API      {url}\n"
        f"  Docs     {url}/docs\n"
        f"  Data     {data_dir}/\n"
    )


def _printer() -> Callable[[str, bytes], None]:
    """Prints lines behind the name of who said them, in colour on a terminal."""
    out = sys.stdout.buffer
    colored = sys.stdout.isatty()

    def write(name: str, line: bytes) -> None:
        prefix = f"{name:<10} | "
        if colored:
            prefix = typer.style(prefix, fg=_COLORS.get(name, "yellow"))
        out.write(prefix.encode() + line + b"\n")
        out.flush()

    return write


def _check_port(host: str, port: int, option: str) -> None:
    until = time.monotonic() + _PORT_WAIT_S
    while True:
        try:
            return _bind(host, port)
        except OSError as error:
            if time.monotonic() > until:
                text = f"cannot listen on {host}:{port}: {error.strerror}; another one: {option}"
                raise Misconfigured(text) from None
            time.sleep(0.1)


def _bind(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=0.2).close()
    except OSError:
        return False
    return True


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _nothing(_: str) -> None:
    """On every start the schema is looked at; there is nothing to say of that."""
