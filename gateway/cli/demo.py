"""The demo of `gateway run --sandbox`: secrets of its own, a connected Page, a key to read with."""

import contextlib
import os
import secrets
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import typer

from contracts.errors import Unauthenticated
from gateway.cli.parts import Parts
from gateway.connecting import ManualAccount
from gateway.supervisor import Program

PAGE: Final = ManualAccount("demo", "facebook", "1234567890", "Demo Page")
"""The Page that the sandbox plays."""
PORT: Final = 8090
APPS: Final = {
    "META_APP_ID": "1000000000000001",
    "META_SIGNUP_CONFIG_ID": "1000000000000004",
    "INSTAGRAM_APP_ID": "1000000000000002",
    "GOOGLE_CLIENT_ID": "1000000000003-demo.apps.googleusercontent.com",
}
"""Ids of the apps that exist in the sandbox, where `.env` does not name others."""
SECRETS: Final = {
    "META_APP_SECRET": "app_secret",
    "INSTAGRAM_APP_SECRET": "instagram_app_secret",
    "GOOGLE_CLIENT_SECRET": "google_client_secret",
}
"""Secret → the file in which the demo keeps it."""
LOGINS: Final = ("meta", "instagram", "google")


class Demo:
    """What makes the sandbox and the gateway know each other; kept under `sandbox/` in the data."""

    def __init__(self, data_dir: Path, edge_url: str, port: int | None = None) -> None:
        """`edge_url`: where the edge listens, for the sandbox to post to; `port`: the sandbox's."""
        self._folder = data_dir / "sandbox"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._edge_url = edge_url
        self.port = port or _free_port(PORT)
        self.url = f"http://127.0.0.1:{self.port}"

    def environ(self, given: Mapping[str, str]) -> dict[str, str]:
        """`given`, and what it lacks: apps, their secrets (as files), verify token, our address."""
        made = {**APPS, **given}
        made["GATEWAY_SANDBOX_URL"] = given.get("GATEWAY_SANDBOX_URL") or self.url
        for name, file in SECRETS.items():
            if not (given.get(name) or given.get(f"{name}_FILE")):
                _once(self._folder / file, _hex)
                made[f"{name}_FILE"] = str((self._folder / file).absolute())
        if token_file := given.get("META_VERIFY_TOKEN_FILE"):
            made["META_VERIFY_TOKEN"] = Path(token_file).read_text(encoding="utf-8").strip()
        elif not given.get("META_VERIFY_TOKEN"):
            made["META_VERIFY_TOKEN"] = _once(self._folder / "verify_token", _hex)
        return made

    def program(self, environ: Mapping[str, str]) -> Program:
        """The sandbox, which signs with the secrets of `environ`, and knows our redirect addresses:
        browsers come back by the public URL, while it posts to where the edge listens.
        """
        hook = f"{self._edge_url}/webhooks/meta"
        command = [sys.executable, "-m", "sandbox", "serve", "--port", str(self.port)]
        public = environ["GATEWAY_PUBLIC_URL"].rstrip("/")
        for login in LOGINS:
            command += ["--redirect-uri", f"{public}/oauth/{login}/callback"]
        # Settings of the gateway are none of the sandbox's business: it plays the provider.
        known = {k: v for k, v in environ.items() if not k.startswith("GATEWAY_")}
        return Program(
            "sandbox", [*command, "--webhook-url", hook], {**known, "PYTHONUNBUFFERED": "1"}
        )

    def connect(self, parts: Parts) -> str:
        """Connect the demo Page unless it is, and return the clear text of a key that may read."""
        from storage.connections import Connections

        connected = parts.connecting.open(
            Connections(parts.database).list(tenant=PAGE.tenant, provider=PAGE.provider)
        )
        if not any(one.details and one.details.account == PAGE.account for one in connected):
            parts.connecting.add(PAGE, None)
        return self._key(parts)

    def first_steps(self, api_url: str, key: str) -> str:
        """What to do now: where to write, and how to see it arrive."""
        return (
            f"  Sandbox  {typer.style(self.url, bold=True)}  write to a Page as a customer\n"
            "\n  See the messages arrive:\n\n"
            f'    curl -H "Authorization: Bearer {key}" "{api_url}/v1/messages?wait=30"\n'
        )

    def _key(self, parts: Parts) -> str:
        from storage.api_keys import ApiKeys

        keys = ApiKeys(parts.database)
        path = self._folder / "crm_key"
        with contextlib.suppress(FileNotFoundError, Unauthenticated):
            clear = path.read_text(encoding="ascii").strip()
            keys.authenticate(clear)
            return clear
        path.unlink(missing_ok=True)
        return _once(path, lambda: keys.create("crm", PAGE.tenant, "demo")[1])


def _once(path: Path, make: Callable[[], str]) -> str:
    """The text of a file that only we may read; made when it is not there."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(make() + "\n")
    return path.read_text(encoding="ascii").strip()


def _hex() -> str:
    return secrets.token_hex(16)


def _free_port(wanted: int) -> int:
    """`wanted`, or any other when somebody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
