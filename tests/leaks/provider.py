"""The providers' token endpoints on loopback: they answer well, badly, late, or with the token."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Literal, NamedTuple, get_args
from urllib.parse import parse_qs, urlsplit

from tests.leaks.planted import Planted

Fate = Literal["good", "over", "echo", "word", "html", "elsewhere", "silent", "cut"]
FATES: Final = get_args(Fate)
"""What becomes of a refresh: newer tokens; the grant is over; 500, 400 and 200 that repeat the
token in text, as the error's name and on a page; a redirect; no answer; a connection that ends."""

_PLACES: Final = {
    "google": r"/token",
    "instagram": r"/refresh_access_token",
    "meta": r"/v\d+\.\d+/debug_token",
}
_TOKENS: Final = ("refresh_token", "access_token", "input_token")
_SILENCE_S: Final = 30


class Asked(NamedTuple):
    """A request that came in: its first line apart, since servers and proxies on the way log it."""

    login: str
    fate: Fate
    line: str
    rest: bytes


class Provider:
    """Google, Meta and Instagram at one `url`. What becomes of a refresh hangs on its token."""

    def __init__(self, planted: Planted) -> None:
        self.asked: list[Asked] = []
        self.closing = threading.Event()
        self.planted = planted
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Listen no more: who calls now is refused by the system. May be called twice."""
        if not self.closing.is_set():
            self.closing.set()
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def answer(self, asked: Asked) -> tuple[int, dict[str, Any] | str]:
        """Status, and a document or a page."""
        token = self.planted.secret(f"{asked.login} {asked.fate}")
        match asked.fate:
            case "good":
                return 200, self._good(asked.login)
            case "over":
                return _over(asked.login, f"the token {token} is over")
            case "word":
                return 400, {"error": token, "error_description": token}
            case "html":
                return 200, f"<html>your {token}</html>"
            case "elsewhere":
                return 302, f"see {token}"
            case _:
                return 500, f"it was {token}"

    def fate(self, login: str, token: str) -> Fate:
        """Of a token that was planted."""
        return next(f for f in FATES if self.planted.secret(f"{login} {f}") in token)

    def _good(self, login: str) -> dict[str, Any]:
        if login == "meta":
            return {"data": {"is_valid": True, "expires_at": 0, "scopes": ["pages_messaging"]}}
        newer = {
            "access_token": self.planted.secret(f"{login} newer access"),
            "expires_in": 3600 if login == "google" else 5_184_000,
        }
        if login == "google":
            newer["refresh_token"] = self.planted.secret("google newer refresh")
        return newer


def _over(login: str, text: str) -> tuple[int, dict[str, Any]]:
    match login:
        case "google":
            return 400, {"error": "invalid_grant", "error_description": text}
        case "instagram":
            return 400, {"error": {"code": 190, "message": text, "error_user_msg": text}}
        case _:
            return 200, {"data": {"is_valid": False, "error": {"code": 190, "message": text}}}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, provider: Provider) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.provider = provider

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is none of our errors."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        address = urlsplit(self.path)
        given = parse_qs(address.query) | parse_qs(body.decode())
        login = next((x for x, y in _PLACES.items() if re.fullmatch(y, address.path)), "others")
        token = next((given[word][0] for word in _TOKENS if word in given), "")
        provider = self.server.provider
        fate: Fate = "echo" if login == "others" or not token else provider.fate(login, token)
        provider.asked.append(Asked(login, fate, self.requestline, bytes(self.headers) + body))
        if fate in ("silent", "cut"):
            provider.closing.wait(_SILENCE_S if fate == "silent" else 0)
            self.close_connection = True
        elif login == "others" or not token:
            authorization = self.headers.get("authorization", "")
            self._say(authorization, 500, f"it was {self.path} {authorization} {body.decode()}")
        else:
            self._say(token, *provider.answer(provider.asked[-1]))

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - names of the base class

    def _say(self, token: str, status: int, told: dict[str, Any] | str) -> None:
        text = told if isinstance(told, str) else json.dumps(told)
        self.send_response(status, f"it was {token}")
        kind = "text/html" if isinstance(told, str) else "application/json"
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text)))
        self.send_header("www-authenticate", f'Bearer realm="{token}"')
        self.send_header("set-cookie", f"token={token}")
        self.send_header("location", f"{self.server.provider.url}/?access_token={token}")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Nothing: the test looks at `asked`."""
