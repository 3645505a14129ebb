"""Graph through facebook-sdk: its traps by name, and what Graph's errors mean."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import facebook
import httpx
import pytest
from pytest_httpx import HTTPXMock

from connectors.kit.meta.auth import GraphAuth, appsecret_proof
from connectors.kit.meta.errors import COOL_DOWN_S, refusal
from connectors.kit.meta.graph import Graph
from connectors.kit.transport.refusals import Answer
from connectors.kit.transport.transport import Transport
from contracts.errors import (
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    ProviderError,
    Reauthorize,
    Retryable,
    Throttled,
    WindowClosed,
)
from contracts.tokens import Secret

TOKEN, APP_SECRET = Secret("TOKEN1"), Secret("test-secret")
PROOF = "261779bce081046d41ad92f9c6669323797d9d01422f68ef1498569481df9dfe"
ME = f"https://graph.facebook.com/v24.0/me?appsecret_proof={PROOF}"


@pytest.fixture
def graph() -> Graph:
    return Graph(Transport().client(GraphAuth(TOKEN, APP_SECRET)), "v24.0", "1234567890")


def test_proof_of_the_documented_form() -> None:
    assert appsecret_proof(TOKEN, APP_SECRET) == PROOF


def test_trap_the_sdk_refuses_every_version_that_is_alive(
    graph: Graph, httpx_mock: HTTPXMock
) -> None:
    for version in ("24.0", "v24.0"):
        with pytest.raises(facebook.GraphAPIError):
            facebook.GraphAPI(version=version)
    httpx_mock.add_response(url=ME, json={"id": "1"})
    assert graph.get("me") == {"id": "1"}


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_trap_the_token_stands_in_the_query(
    method: str, graph: Graph, httpx_mock: HTTPXMock
) -> None:
    """The SDK puts it there on GET, and on a POST without a body."""
    httpx_mock.add_response(json={"success": True})
    calls = {"GET": graph.get, "POST": graph.post, "DELETE": graph.delete}
    assert calls[method]("1/subscribed_apps") == {"success": True}
    (sent,) = httpx_mock.get_requests()
    assert sent.method == method
    assert "TOKEN1" not in str(sent.url)
    assert "access_token" not in str(sent.url) + sent.content.decode()
    assert sent.headers["authorization"] == "Bearer TOKEN1"
    assert sent.url.params["appsecret_proof"] == PROOF


def test_trap_nested_values_are_form_encoded_to_nonsense(
    graph: Graph, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(json={"message_id": "m_1"})
    message = {"text": "ä", "quick_replies": [{"title": "A"}]}
    graph.post("me/messages", recipient={"id": "9"}, message=message, tag=None, notify=True)
    (sent,) = httpx_mock.get_requests()
    form = {name: values[0] for name, values in parse_qs(sent.content.decode()).items()}
    assert json.loads(form["message"]) == message
    assert json.loads(form["recipient"]) == {"id": "9"}
    assert form["notify"] == "true"
    assert "tag" not in form


def test_trap_pages_without_a_token_in_next(graph: Graph, httpx_mock: HTTPXMock) -> None:
    """The SDK's own paging fails on them; and calls the address that came with the answer."""
    following = "https://evil.example/v24.0/me/accounts?limit=2&after=A1&access_token=TOKEN2"
    httpx_mock.add_response(json={"data": [{"id": "1"}], "paging": {"next": following}})
    httpx_mock.add_response(json={"data": [{"id": "2"}], "paging": {"cursors": {"after": "A2"}}})
    assert [page["id"] for page in graph.each("me/accounts", limit=2)] == ["1", "2"]
    first, second = httpx_mock.get_requests()
    assert second.url.host == first.url.host == "graph.facebook.com"
    assert dict(second.url.params) == {"limit": "2", "after": "A1", "appsecret_proof": PROOF}


def test_pages_without_an_end_end(graph: Graph, httpx_mock: HTTPXMock) -> None:
    page = {"data": [], "paging": {"next": "https://graph.facebook.com/x?after=A1"}}
    httpx_mock.add_response(json=page, is_reusable=True)
    with pytest.raises(Permanent, match="do not end"):
        list(graph.each("me/accounts"))


HTML = b"<html><body>502 Bad Gateway, me@example.net</body></html>"


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (500, {"content-type": "application/json"}, b"{}"),
        (502, {"content-type": "text/html"}, HTML),
        (200, {"content-type": "text/html"}, HTML),
        (200, {"content-type": "application/json"}, b"[" * 100_000),
        (200, {}, b""),
    ],
    ids=["500-and-empty-object", "html-502", "html-200", "nested", "nothing"],
)
def test_trap_http_status_is_ignored(
    status: int, headers: dict[str, str], body: bytes, graph: Graph, httpx_mock: HTTPXMock
) -> None:
    """Read again what was read; never what may have been sent."""
    httpx_mock.add_response(status, headers=headers, content=body, is_reusable=True)
    with pytest.raises(Retryable) as caught:
        graph.get("me")
    with pytest.raises(OutcomeUnknown):
        graph.post("me/messages", message={"text": "hi"})
    assert "example.net" not in str(caught.value)


@pytest.mark.parametrize("kind", ["text/javascript; charset=UTF-8", None])
def test_trap_content_types_that_the_sdk_cannot_read(
    kind: str | None, graph: Graph, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(headers={"content-type": kind} if kind else {}, content=b'{"id":"1"}')
    assert graph.get("me") == {"id": "1"}


def test_trap_the_subcode_has_no_attribute(graph: Graph, httpx_mock: HTTPXMock) -> None:
    body = {"error": {"code": 190, "error_subcode": 460, "message": "Olena, TOKEN1"}}
    httpx_mock.add_response(400, json=body)
    with pytest.raises(Reauthorize) as caught:
        graph.get("me")
    assert caught.value.code == "190/460"
    assert str(caught.value) == "graph.facebook.com: 190/460, the password was changed"


def test_an_error_under_status_200_is_an_error(graph: Graph, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(json={"error": {"code": 100, "error_subcode": 33}})
    with pytest.raises(Permanent, match="not there"):
        graph.get("1")


def test_a_bare_true_is_an_answer(graph: Graph, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(json=True)
    assert graph.delete("1/subscribed_apps") == {"success": True}


def test_a_lost_answer_to_a_send_is_unknown(graph: Graph, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_exception(httpx.ReadTimeout("TOKEN1"))
    with pytest.raises(OutcomeUnknown):
        graph.post("me/messages", message={"text": "hi"})


# -- what errors mean ------------------------------------------------------------------------------


def _refused(
    error: dict[str, Any], *, repeatable: bool = True, headers: Mapping[str, str] | None = None
) -> ProviderError:
    body = json.dumps({"error": {"message": "Olena wrote TOKEN1", **error}}).encode()
    return refusal(Answer("graph.facebook.com", 400, headers or {}, body, repeatable), "1234567890")


@pytest.mark.parametrize(
    ("code", "subcode", "kind"),
    [
        *((190, subcode, Reauthorize) for subcode in (0, 458, 459, 460, 463, 464, 467, 492, 7)),
        (102, 0, Reauthorize),
        *((code, 0, PermissionMissing) for code in (10, 200, 210, 299, 3)),
        *((10, subcode, WindowClosed) for subcode in (2018278, 2534022)),
        *((10, subcode, Permanent) for subcode in (2018108, 2018028)),
        (200, 2018028, Permanent),
        *((code, 0, Throttled) for code in (4, 17, 32, 613, 80001, 80002, 80006, 80008)),
        (613, 1996, Throttled),
        *((code, 0, Throttled) for code in (130429, 131056, 131048, 80007, 368)),
        *((code, 0, Retryable) for code in (1, 2, 341, 1200, 131016, 131000)),
        (551, 1545041, Permanent),
        *((100, subcode, Permanent) for subcode in (0, 33, 2018001, 2018109, 2018218)),
        *((code, 0, Permanent) for code in (230, 9010, 10900, 2500, 12345)),
        (100, 2534025, Permanent),
        (131047, 0, WindowClosed),
        *((code, 0, Permanent) for code in (131026, 131049, 131050, 131031, 131042)),
        *((code, 0, Permanent) for code in (132000, 132001, 132999)),
        (131005, 0, PermissionMissing),
    ],
)
def test_each_code_and_subcode(code: int, subcode: int, kind: type[ProviderError]) -> None:
    error = _refused({"code": code, "error_subcode": subcode} if subcode else {"code": code})
    assert type(error) is kind
    assert error.code == (f"{code}/{subcode}" if subcode else f"{code}")
    assert "Olena" not in str(error)
    assert "TOKEN1" not in str(error)


def test_codes_may_be_text() -> None:
    assert type(_refused({"code": "190", "error_subcode": "463"})) is Reauthorize


def test_temporary_trouble_of_a_write_is_an_unknown_outcome() -> None:
    for error in ({"code": 2}, {"code": 99_999, "is_transient": True}):
        assert type(_refused(error)) is Retryable
        assert type(_refused(error, repeatable=False)) is OutcomeUnknown


def test_a_limit_closes_the_app_or_the_account() -> None:
    app, page, blocked = (_refused({"code": code}) for code in (4, 32, 368))
    assert isinstance(app, Throttled)
    assert isinstance(page, Throttled)
    assert isinstance(blocked, Throttled)
    assert (app.scope, page.scope) == ("app", "1234567890")
    assert (page.after_s, blocked.after_s) == (None, COOL_DOWN_S)


def test_a_limit_lasts_as_long_as_meta_estimates() -> None:
    usage = {"1234567890": [{"call_count": 100, "estimated_time_to_regain_access": 7}]}
    error = _refused({"code": 80006}, headers={"x-business-use-case-usage": json.dumps(usage)})
    assert isinstance(error, Throttled)
    assert error.after_s == 420


def test_the_trace_id_is_told_if_it_is_one() -> None:
    assert str(_refused({"code": 2, "fbtrace_id": "Ab_1-x"})).endswith("(trace Ab_1-x)")
    assert "Olena" not in str(_refused({"code": 2, "fbtrace_id": "Olena <TOKEN1>"}))


@pytest.mark.parametrize("body", [b"", b"{}", b'{"error":"no"}', b'{"error":{}}', HTML, b"\xff"])
def test_without_a_code_the_status_counts_and_never_ends_a_grant(body: bytes) -> None:
    for status, kind in ((500, Retryable), (429, Throttled), (401, Permanent), (403, Permanent)):
        answer = Answer("graph.facebook.com", status, {}, body, repeatable=True)
        assert type(refusal(answer, "1")) is kind
