"""What the transport tells of its calls."""

import json

import httpx
import pytest
from pytest_httpx import HTTPXMock

from connectors.kit.transport.transport import Transport
from connectors.kit.transport.usage import Usage
from contracts.errors import (
    OutcomeUnknown,
)
from tests.connectors.kit.loopback import Heard, raw, serving, transport

GRAPH = "https://graph.facebook.com/v24.0/me"


def test_each_call_is_told_once_by_host_and_class(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(200)
    httpx_mock.add_response(404, content=b"{}")
    httpx_mock.add_exception(httpx.ReadTimeout("https://graph.facebook.com/?access_token=TOKEN1"))
    heard = Heard()
    client = Transport(observer=heard).client()
    client.get(GRAPH)
    client.get("https://files.tenant.example/9988776655")
    with pytest.raises(OutcomeUnknown):
        client.post("https://oauth2.googleapis.com/token")
    assert [(c.provider, c.host, c.outcome) for c in heard.calls] == [
        ("meta", "graph.facebook.com", "2xx"),
        ("other", "other", "4xx"),
        ("google", "oauth2.googleapis.com", "outcome-unknown"),
    ]
    assert all(call.seconds >= 0 for call in heard.calls)


def test_an_answer_that_is_not_read_to_its_end_is_told_once() -> None:
    heard = Heard()
    with serving(raw(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 100_000)) as server:
        client = transport(observer=heard).client()
        with client.stream("GET", server.url) as answer:
            next(answer.iter_bytes(10))
    assert heard.outcomes == ["2xx"]


def test_usage_headers_are_heard(httpx_mock: HTTPXMock) -> None:
    busy = {"type": "messenger", "call_count": 100, "total_cputime": 33, "total_time": 18}
    httpx_mock.add_response(
        headers={
            "X-App-Usage": '{"call_count":41,"total_time":12,"total_cputime":9}',
            "X-Page-Usage": '{"call_count":3,"total_time":80,"total_cputime":9}',
            "X-Business-Use-Case-Usage": json.dumps(
                {"1234567890": [busy | {"estimated_time_to_regain_access": 7}]}
            ),
        }
    )
    heard = Heard()
    Transport(observer=heard).client().get(GRAPH)
    assert heard.usages == [
        ("meta", Usage(subject="app", percent=41)),
        ("meta", Usage(subject="asset", percent=80)),
        ("meta", Usage(subject="1234567890", percent=100, kind="messenger", regain_s=420)),
    ]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"a":1}', "[" * 50_000, '{"1":[{"call_count":[]}]}']
)
def test_usage_that_cannot_be_read_fails_no_call(text: str, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(headers={"x-business-use-case-usage": text, "x-app-usage": text})
    assert Transport().client().get(GRAPH).status_code == 200
