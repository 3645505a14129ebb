"""Tokens go to their hosts, and nowhere else: not to logs, errors, metrics or other accounts."""

import io
import logging
import socket
import threading
import traceback

import pytest
from pytest_httpx import HTTPXMock

from connectors.kit.transport.auth import Bearer
from connectors.kit.transport.transport import Transport
from contracts.errors import (
    GatewayError,
    Permanent,
)
from contracts.tokens import Secret
from tests.connectors.kit.loopback import Answer as Answering
from tests.connectors.kit.loopback import Heard, raw, serving, transport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
GRAPH = "https://graph.facebook.com/v24.0/me"


def _gzipped(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


def test_a_token_goes_in_the_header_to_its_hosts_alone(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response()
    client = Transport().client(Bearer(Secret("TOKEN1"), ["graph.facebook.com"]))
    client.get(GRAPH)
    (sent,) = httpx_mock.get_requests()
    assert sent.headers["authorization"] == "Bearer TOKEN1"
    assert "TOKEN1" not in str(sent.url)
    for url in ("https://evil.example/", "http://graph.facebook.com/", "https://facebook.com/"):
        with pytest.raises(Permanent, match="not for this host"):
            client.get(url)


def test_cookies_of_one_call_are_not_sent_with_another(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(headers={"set-cookie": "who=account1; Domain=facebook.com"})
    httpx_mock.add_response()
    client = Transport().client()
    client.get(GRAPH)
    client.get(GRAPH)
    assert "cookie" not in httpx_mock.get_requests()[1].headers


def test_a_client_that_is_closed_leaves_the_pool_open() -> None:
    with serving(raw(OK)) as server:
        shared = transport()
        with shared.client() as first:
            first.get(server.url)
        assert shared.client().get(server.url).status_code == 200


def test_clients_share_connections_between_threads() -> None:
    def twice(stream: socket.socket) -> None:
        stream.sendall(OK)
        while stream.recv(65_536):
            stream.sendall(OK)

    with serving(twice) as server:
        shared = transport()
        for _ in range(3):
            thread = threading.Thread(target=lambda: shared.client().get(server.url))
            thread.start()
            thread.join()
        assert len(server.heads) == 1
        shared.close()


SECRETS = ("TOKEN1", "CODE1", "BODY1", "9988776655")


FAILURES: list[tuple[Answering, str]] = [
    (raw(b""), "GET"),
    (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nBODY1"), "POST"),
    (raw(b"TOKEN1 BODY1\r\n"), "GET"),
    (raw(_gzipped(b"BODY1")), "GET"),
    (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nBODY1"), "GET"),
]


@pytest.mark.parametrize(("answer", "method"), FAILURES)
def test_errors_logs_and_reprs_tell_no_secret(answer: Answering, method: str) -> None:
    from contracts import logs

    root, out = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    logs.configure("json", "debug", out)
    heard, sent = Heard(), b"BODY1"
    try:
        with serving(answer) as server:
            lent = transport(observer=heard).client()
            url = f"{server.url}/9988776655?code=CODE1&access_token=TOKEN1"
            headers = {"authorization": "Bearer TOKEN1"}
            with pytest.raises(GatewayError) as caught:
                lent.request(method, url, headers=headers, content=sent)
        logging.getLogger("here").error("failed", exc_info=caught.value)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    error = caught.value
    told = "".join(traceback.format_exception(error)) + repr(error) + repr(lent) + repr(heard)
    for secret in SECRETS:
        assert secret not in told
        assert secret not in out.getvalue()
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_a_bearer_does_not_show_its_token() -> None:
    assert "TOKEN1" not in repr(Bearer(Secret("TOKEN1"), ["h"])) + str(
        vars(Bearer(Secret("TOKEN1"), ["h"]))
    )
