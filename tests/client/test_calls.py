"""Single calls: what is tried again, for how long, and what an answer is raised as."""

import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from contracts.errors import CursorExpired, Forbidden, InvalidInput, Unavailable
from gateway.client import Gateway

STATE = {"name": "crm", "cursor": "AAAA", "lag": 3, "created_at": "2026-11-22T09:00:00.000Z"}


class Script(httpx.BaseTransport):
    """Answers one after the other; the last one for ever. Counts requests and pauses."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.pauses: list[float] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, patience_s: float = 60.0) -> Gateway:
        return Gateway(
            "http://gateway.test/",
            "cbg_key",
            patience_s=patience_s,
            transport=self,
            sleep=self.pauses.append,
        )


def _ok(**more: Any) -> httpx.Response:
    return httpx.Response(200, json={**STATE, **more})


def _problem(status: int, name: str, **more: str) -> httpx.Response:
    body = {"type": f"urn:cleverbox:problem:{name}", "title": "No", "status": status, **more}
    return httpx.Response(status, json=body)


def test_the_key_goes_along() -> None:
    script = Script(_ok())
    with script.client() as client:
        assert client.consumer("crm").lag == 3
    [request] = script.requests
    assert str(request.url) == "http://gateway.test/v1/consumers/crm"
    assert request.headers["authorization"] == "Bearer cbg_key"


def test_a_name_cannot_leave_its_place() -> None:
    script = Script(_ok())
    with script.client() as client:
        client.consumer("a/../b?c")
    assert script.requests[0].url.raw_path == b"/v1/consumers/a%2F..%2Fb%3Fc"


@pytest.mark.parametrize(
    "away",
    [
        lambda: httpx.ConnectError("refused"),
        lambda: httpx.ReadTimeout("slow"),
        lambda: httpx.Response(502),
        lambda: _problem(503, "store-unavailable"),
    ],
)
def test_what_passes_is_tried_again(
    away: Callable[[], httpx.Response | Exception], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "gateway.client")
    script = Script(away(), away(), _ok())
    with script.client() as client:
        assert client.consumer("crm").name == "crm"
    assert script.pauses == [0.2, 0.4]
    assert "trying again in 0.4 s" in caplog.text
    assert "cbg_key" not in caplog.text


def test_retry_after_is_heeded() -> None:
    again = httpx.Response(503, headers={"retry-after": "7"})
    script = Script(again, _ok())
    with script.client() as client:
        client.consumer("crm")
    assert script.pauses == [7.0]


def test_patience_ends() -> None:
    script = Script(httpx.ConnectError("refused"))
    with script.client(patience_s=0.0) as client, pytest.raises(Unavailable, match="refused"):
        client.consumer("crm")
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "answers",
    [
        (_ok(), httpx.ConnectError("refused")),
        (httpx.ConnectError("refused"),),
        (httpx.Response(500, text="oops"),),
        (_problem(503, "unknown-key"),),
    ],
)
def test_consuming_is_patient_for_ever(answers: tuple[httpx.Response | Exception, ...]) -> None:
    class Enough(Exception):
        """The test has seen enough."""

    script = Script(*answers)

    def sleep(seconds: float) -> None:
        script.pauses.append(seconds)
        if len(script.pauses) == 20:
            raise Enough

    client = Gateway(
        "http://gateway.test", "cbg_key", patience_s=0.0, transport=script, sleep=sleep
    )
    with client, pytest.raises(Enough):
        next(client.consume("crm"))
    assert max(script.pauses) == 30.0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda: _problem(403, "forbidden", detail="not yours"), Forbidden),
        (lambda: _problem(400, "invalid"), InvalidInput),
        (lambda: _problem(400, "of-a-newer-gateway"), InvalidInput),
        (lambda: httpx.Response(404, text="<html>"), InvalidInput),
        (lambda: httpx.Response(500, text="oops"), Unavailable),
        (lambda: httpx.Response(302, headers={"location": "http://elsewhere.test"}), InvalidInput),
        (lambda: httpx.Response(200, text="<html>a login page</html>"), Unavailable),
    ],
)
def test_other_answers_are_raised_at_once(
    answer: Callable[[], httpx.Response], error: type[Exception]
) -> None:
    script = Script(answer())
    with script.client() as client, pytest.raises(error):
        client.consumer("crm")
    assert (len(script.requests), script.pauses) == (1, [])


def test_a_cursor_problem_says_where_to_go_on() -> None:
    script = Script(_problem(410, "cursor-expired", resume="BBBB"), _ok())
    with script.client() as client:
        with pytest.raises(CursorExpired) as told:
            client.pull("crm")
        client.resume("crm", told.value)
    assert script.requests[-1].read() == b'{"cursor":"BBBB","rewind":true}'


@pytest.mark.parametrize("end", ["\n", "\r\n", "\x00", "\u00e9"])
def test_a_key_that_no_header_may_hold_is_refused_without_quoting_it(end: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Gateway("http://127.0.0.1:9", f"cbg_abcdefgh{end}", patience_s=0)
    assert "cbg_" not in str(refused.value)
