"""HashiCorp Vault's Transit engine as far as a key-encryption key needs it, over HTTPS on loopback.

After the API's documentation (Vault, Transit secrets engine (API); "Encrypt data", "Decrypt data").
In this process: `VaultServer`. As a program: `python -m tests.kms.transit FOLDER PORT`.
"""

import base64
import contextlib
import json
import os
import re
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, NamedTuple

import trustme
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.processes import Process, eventually, free_port
from tests.servers import no_listener

TOKEN: Final = "hvs.made-up"
MOUNT: Final = "transit"
_PATH: Final = re.compile(r"/v1/(?P<mount>[^?]+)/(?P<action>encrypt|decrypt)/(?P<name>[\w.-]+)")
_CIPHERTEXT: Final = re.compile(r"vault:v(?P<version>\d+):(?P<sealed>.*)", re.DOTALL)


class Refused(Exception):
    """Vault's answer when it does not do what it is asked."""

    def __init__(self, status: int, *errors: str) -> None:
        super().__init__(status, *errors)
        self.status = status
        self.errors = errors


class Request(NamedTuple):
    """What the server looks at."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Transit:
    """Keys by name, each with its versions, kept in a file of `folder`; and who may use them."""

    def __init__(self, folder: Path) -> None:
        """Keys that the file has are there again."""
        self.sealed = False
        self.tokens = {TOKEN}
        self.oldest = 1
        self.requests: list[Request] = []
        self._file = folder / "transit.json"
        kept = json.loads(self._file.read_text()) if self._file.exists() else {}
        self._keys: dict[str, list[bytes]] = {
            name: [base64.b64decode(version) for version in versions]
            for name, versions in kept.items()
        }

    def create(self, name: str) -> None:
        """A key, or its next version."""
        self._keys.setdefault(name, []).append(AESGCM.generate_key(256))
        kept = {k: [base64.b64encode(x).decode() for x in keys] for k, keys in self._keys.items()}
        self._file.write_text(json.dumps(kept))

    def forget_newest(self, name: str) -> None:
        """As a copy of Vault from before the last rotation."""
        self._keys[name].pop()

    def answer(self, request: Request) -> dict[str, Any]:
        """What Vault answers with 200. Raises `Refused`."""
        self.requests.append(request)
        if self.sealed:
            raise Refused(503, "Vault is sealed")
        if request.headers.get("X-Vault-Token") not in self.tokens:
            raise Refused(403, "permission denied")
        found = _PATH.fullmatch(request.path)
        if request.method not in ("POST", "PUT"):
            raise Refused(405, "unsupported operation")
        if found is None or found["mount"] != MOUNT:
            route = request.path.removeprefix("/v1/")
            raise Refused(404, f'no handler for route "{route}". route entry not found.')
        given = _json(request.body)
        if given.get("context"):
            raise Refused(400, "context is not used by this key")
        if found["action"] == "encrypt":
            return self._encrypt(found["name"], given)
        return self._decrypt(found["name"], given)

    def _encrypt(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        if name not in self._keys:  # it would be made, by whoever has the capability `create`
            raise Refused(403, "1 error occurred:\n\t* permission denied\n\n")
        version = len(self._keys[name])
        nonce = os.urandom(12)
        sealed = AESGCM(self._keys[name][-1]).encrypt(nonce, _base64(given, "plaintext"), None)
        text = base64.b64encode(nonce + sealed).decode()
        return {"ciphertext": f"vault:v{version}:{text}", "key_version": version}

    def _decrypt(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        if name not in self._keys:
            raise Refused(400, "encryption key not found")
        found = _CIPHERTEXT.fullmatch(str(given.get("ciphertext", "")))
        if found is None:
            raise Refused(400, "invalid ciphertext: no prefix")
        version = int(found["version"])
        if version > len(self._keys[name]):
            raise Refused(400, "invalid ciphertext: version is too new")
        if version < self.oldest:
            raise Refused(400, "ciphertext or signature version is disallowed by policy (too old)")
        sealed = _base64({"ciphertext": found["sealed"]}, "ciphertext")
        try:
            plain = AESGCM(self._keys[name][version - 1]).decrypt(sealed[:12], sealed[12:], None)
        except (InvalidTag, ValueError):
            raise Refused(400, "cipher: message authentication failed") from None
        return {"plaintext": base64.b64encode(plain).decode()}


def _json(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body)
    except ValueError:
        raise Refused(400, "failed to parse JSON input") from None
    if not isinstance(given, dict):
        raise Refused(400, "failed to parse JSON input")
    return given


def _base64(given: Mapping[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(given[name], validate=True)
    except (KeyError, TypeError, ValueError):
        raise Refused(400, f"invalid {name}: failed to base64-decode {name}") from None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece
    server: "_Server"

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            request = Request(self.command, self.path, dict(self.headers), body)
            found = self.server.transit.answer(request)
            status, answer = 200, dict[str, Any](data=found)
        except Refused as refused:
            status, answer = refused.status, dict[str, Any](errors=list(refused.errors))
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - names of the base class

    def log_message(self, *_: object) -> None:
        """Nothing: the tests look at `requests`."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, folder: Path, port: int, transit: Transit) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.transit = transit
        self.connections: set[socket.socket] = set()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem")
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Hung-up connections are what tests are about."""


def certificate(folder: Path) -> Path:
    """Make a certificate for loopback in `folder`; the file of the authority that signed it."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return folder / "ca.pem"


class VaultServer:
    """A Vault in a thread of this process, to stop and start at will on the same port."""

    def __init__(self, folder: Path, port: int) -> None:
        """`folder` has the certificate."""
        self.transit = Transit(folder)
        self.folder = folder
        self._port = port
        self._server: _Server | None = None
        self._thread = threading.Thread()

    def uri(self, name: str) -> str:
        """How the gateway names the key."""
        return f"hcvault://127.0.0.1:{self._port}/{MOUNT}/keys/{name}"

    def start(self) -> None:
        """Listen."""
        self._server = _Server(self.folder, self._port, self.transit)
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, args=(0.02,), name="vault")
        self._thread.start()

    def stop(self) -> None:
        """Listen no more, and hang up on those who are connected."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            for connection in self._server.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            self._server = None


class VaultProcess:
    """A Vault in a process of its own, whose keys outlive it: to kill and to start again."""

    def __init__(self, folder: Path) -> None:
        """`folder` has the certificate, and gets a key `kek`."""
        Transit(folder).create("kek")
        self._folder = folder
        self._port = free_port()
        self._process: Process | None = None
        self.uri = f"hcvault://127.0.0.1:{self._port}/{MOUNT}/keys/kek"

    def start(self) -> None:
        """Start; ready on return."""
        module = "tests.kms.transit"
        program: list[str | Path] = [sys.executable, "-m", module, self._folder, str(self._port)]
        env = {"PYTHONPATH": str(Path(__file__).parents[2])}
        self._process = Process(program, log=self._folder / "vault.log", env=env)
        eventually(lambda: no_listener("127.0.0.1", self._port) is None)

    def freeze(self) -> None:
        """It takes connections, and answers none."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it was."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.signal(number)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.close()
            self._process = None


def main(folder: Path, port: int) -> None:
    """Serve until killed."""
    _Server(folder, port, Transit(folder)).serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
