"""The SDKs go through the one transport: what it forbids, they cannot do. Traps by their names."""

import logging
import os
import socket
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import facebook
import google.oauth2.credentials
import httpx
import pytest
import requests
from google_auth_oauthlib.flow import Flow
from pytest_httpx import HTTPXMock

from connectors.kit.google.errors import token_refusal
from connectors.kit.transport.auth import Bearer
from connectors.kit.transport.for_google_auth import ClientRequest
from connectors.kit.transport.for_httplib2 import ClientHttp
from connectors.kit.transport.for_requests import carry
from connectors.kit.transport.transport import Limits, Transport
from contracts.errors import (
    AddressRefused,
    OutcomeUnknown,
    Permanent,
    Reauthorize,
    Retryable,
)
from contracts.tokens import Secret
from tests.connectors.kit.loopback import raw, serving, transport

TOKEN = Secret("TOKEN1")
TOKEN_URL = "https://oauth2.googleapis.com/token"


def _session(client: httpx.Client) -> requests.Session:
    session = requests.Session()
    carry(session, client)
    return session


# -- requests ---------------------------------------------------------------------------------


def test_a_session_sends_what_requests_would(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(201, json={"id": "1"}, headers={"X-Answer": "yes"})
    session = _session(Transport().client())
    answer = session.post(
        "https://graph.facebook.com/v24.0/me/messages?a=b%2Fc", data={"text": "ä &"}
    )
    (sent,) = httpx_mock.get_requests()
    assert str(sent.url) == "https://graph.facebook.com/v24.0/me/messages?a=b%2Fc"
    assert sent.content == b"text=%C3%A4+%26"
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"
    assert sent.headers["user-agent"] == "cleverbox-gateway (gzip)"
    assert (answer.status_code, answer.json()) == (201, {"id": "1"})
    assert answer.headers["x-answer"] == "yes"
    assert answer.ok


def test_a_session_follows_no_redirect() -> None:
    there = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    with serving(raw(there)) as server, pytest.raises(Permanent, match="redirect"):
        _session(transport().client()).get(server.url)


def test_netrc_does_not_displace_the_token(
    httpx_mock: HTTPXMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine graph.facebook.com login me password NETRC1\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    httpx_mock.add_response(json={})
    auth = Bearer(TOKEN, ["graph.facebook.com"])
    _session(Transport().client(auth)).get("https://graph.facebook.com/v24.0/me")
    assert httpx_mock.get_requests()[0].headers["authorization"] == "Bearer TOKEN1"


def test_the_guard_stands_before_every_sdk() -> None:
    client = Transport().client()
    url = "http://169.254.169.254/computeMetadata/v1/"
    with pytest.raises(AddressRefused):
        _session(client).get(url)
    with pytest.raises(AddressRefused):
        ClientHttp(client).request(url)
    with pytest.raises(AddressRefused):
        ClientRequest(client)(url)


def test_the_limits_hold_for_every_sdk() -> None:
    with serving(raw(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 4096)) as server:
        client = transport(limits=Limits(body_bytes=1024)).client()
        for call in (_session(client).get, ClientHttp(client).request, ClientRequest(client)):
            with pytest.raises(Permanent, match="larger"):
                call(server.url)


# -- trap: facebook-sdk and google-auth have no time-out, or two minutes ----------------------


@pytest.mark.parametrize("sdk", ["facebook-sdk", "httplib2", "google-auth"])
def test_trap_no_time_out(sdk: str) -> None:
    def silent(stream: socket.socket) -> None:
        stream.recv(1)

    with serving(silent) as server:
        client = transport(limits=Limits(read_s=0.05)).client()
        calls: dict[str, Any] = {
            "facebook-sdk": lambda: facebook.GraphAPI(session=_session(client)).session.request(
                "GET", server.url, timeout=None
            ),
            "httplib2": lambda: ClientHttp(client).request(server.url),
            "google-auth": lambda: ClientRequest(client)(server.url, timeout=120),
        }
        with pytest.raises(Retryable, match="ReadTimeout"):
            calls[sdk]()


def test_trap_network_errors_hold_the_url_with_the_token(httpx_mock: HTTPXMock) -> None:
    """facebook-sdk raises what requests raises; with the token in its text."""
    httpx_mock.add_exception(httpx.ReadTimeout("for /me?access_token=TOKEN1"))
    api = facebook.GraphAPI("TOKEN1", session=_session(Transport().client()))
    with pytest.raises(Retryable) as caught:
        api.request("v24.0/me")
    assert "TOKEN1" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_trap_importing_facebook_warns() -> None:
    """Its source has an escape that is none: with warnings as errors it could not be imported."""
    code = "import connectors.kit.meta.graph"
    strict = [sys.executable, "-W", "error", "-c", code]
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": "/nonexistent"}
    ran = subprocess.run(strict, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


# -- httplib2 ---------------------------------------------------------------------------------


def test_trap_httplib2_is_not_thread_safe() -> None:
    """Ours is: it keeps nothing, and the client may be shared."""

    def answer(stream: socket.socket) -> None:
        stream.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")

    with serving(answer) as server:
        http = ClientHttp(transport().client())
        results: list[tuple[int, bytes]] = []

        def call() -> None:
            for _ in range(10):
                response, content = http.request(server.url)
                results.append((response.status, content))

        threads = [threading.Thread(target=call) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [(200, b"ok")] * 80


def test_its_response_has_httplib2s_shape(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(404, headers={"ETag": '"1"'}, content=b"gone")
    response, content = ClientHttp(Transport().client()).request(
        "https://www.googleapis.com/calendar/v3/x", method="GET"
    )
    assert (response.status, response["status"], response["etag"]) == (404, "404", '"1"')
    assert content == b"gone"


def test_trap_a_get_too_long_is_sent_as_post(httpx_mock: HTTPXMock) -> None:
    """It stays a GET in meaning: when its answer is lost it may be asked again."""
    httpx_mock.add_exception(httpx.ReadTimeout(""), is_reusable=True)
    http = ClientHttp(Transport().client())
    url = "https://www.googleapis.com/calendar/v3/x"
    with pytest.raises(Retryable):
        http.request(url, "POST", "q=1", {"X-HTTP-Method-Override": "GET"})
    with pytest.raises(OutcomeUnknown):
        http.request(url, "POST", "{}")


# -- google-auth ------------------------------------------------------------------------------


def _credentials(**more: Any) -> google.oauth2.credentials.Credentials:
    return google.oauth2.credentials.Credentials(
        None,
        refresh_token="REFRESH1",
        token_uri=TOKEN_URL,
        client_id="ID1",
        client_secret="SECRET1",
        **more,
    )


def test_google_auth_refreshes_over_the_client(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(json={"access_token": "NEW1", "expires_in": 3599})
    credentials = _credentials()
    credentials.refresh(ClientRequest(Transport().client()))
    assert credentials.token == "NEW1"
    assert credentials.refresh_token == "REFRESH1"


@pytest.mark.parametrize(
    ("status", "body"),
    [(503, {}), (400, {"error": "temporarily_unavailable"}), (500, {"error": "internal_failure"})],
)
def test_trap_google_auth_tries_three_times_asleep(
    status: int, body: dict[str, str], httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(status, json=body)
    with pytest.raises(Retryable):
        _credentials().refresh(ClientRequest(Transport().client(), token_refusal))
    assert len(httpx_mock.get_requests()) == 1


@pytest.mark.parametrize("subtype", [None, "invalid_rapt"])
def test_trap_refresh_errors_have_two_shapes(subtype: str | None, httpx_mock: HTTPXMock) -> None:
    """`RefreshError.args` has the body, or for invalid_rapt not; ours have one shape, and no text
    of Google's.
    """
    body = {"error": "invalid_grant", "error_description": "me@example.net is gone"}
    httpx_mock.add_response(400, json=body | ({"error_subtype": subtype} if subtype else {}))
    with pytest.raises(Reauthorize) as caught:
        _credentials().refresh(ClientRequest(Transport().client(), token_refusal))
    assert caught.value.code == "invalid_grant" + (f"/{subtype}" if subtype else "")
    assert "example.net" not in str(caught.value)


def test_trap_google_auth_keeps_granted_scopes_to_itself(httpx_mock: HTTPXMock) -> None:
    """Why our login refreshes by a POST of its own: without `scopes` the answer's are dropped, and
    with one that is not granted Google refuses.
    """
    answer = {"access_token": "NEW1", "expires_in": 3599, "scope": "openid"}
    httpx_mock.add_response(json=answer, is_reusable=True)
    bare, asking = _credentials(), _credentials(scopes=["openid"])
    for credentials in (bare, asking):
        credentials.refresh(ClientRequest(Transport().client()))
    assert (bare.granted_scopes, asking.granted_scopes) == (None, ["openid"])
    first, second = (request.content for request in httpx_mock.get_requests())
    assert b"scope=" not in first
    assert b"scope=openid" in second


def test_a_consent_flow_fetches_its_token_over_the_client(httpx_mock: HTTPXMock) -> None:
    """The client's id and secret go as HTTP Basic, as google-auth-oauthlib sends them."""
    httpx_mock.add_response(
        json={"access_token": "NEW1", "expires_in": 3599, "token_type": "Bearer", "scope": "openid"}
    )
    secrets = {"client_id": "ID1", "client_secret": "SECRET1", "token_uri": TOKEN_URL}
    config = {"web": secrets | {"auth_uri": "https://accounts.google.com/o/oauth2/v2/auth"}}
    flow = Flow.from_client_config(config, scopes=["openid"], redirect_uri="https://gw.example/x")
    carry(flow.oauth2session, Transport().client())
    flow.fetch_token(code="CODE1")
    (sent,) = httpx_mock.get_requests()
    assert sent.headers["authorization"].startswith("Basic ")
    assert flow.credentials.token == "NEW1"


# -- logs and imports -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["httpx", "requests_oauthlib", "oauthlib.oauth2", "google.auth.transport", "urllib3"]
)
def test_trap_debug_logs_tell_tokens(name: str) -> None:
    """At GATEWAY_LOG_LEVEL=debug these libraries still keep quiet."""
    from contracts import logs

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure("json", "debug")
        assert not logging.getLogger(name).isEnabledFor(logging.INFO)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


HEAVY = {"facebook", "requests", "httplib2", "googleapiclient", "google.auth", "oauthlib"}


@pytest.mark.parametrize("module", ["gateway.serve", "gateway.parts", "workers.composition"])
def test_receiving_and_pulling_load_no_sdk(module: str) -> None:
    with warnings.catch_warnings():
        code = f"import sys, {module}, connectors.registry; print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert HEAVY.isdisjoint(done.stdout.decode().split())
