"""One call to the gateway: retried while that may help, its problems raised as our errors."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import httpx
import msgspec
import tenacity

from contracts import errors
from contracts.errors import CursorError, GatewayError, InvalidInput, Unavailable
from contracts.messages import Content, Message, decode

log = logging.getLogger("gateway.client")

T = TypeVar("T")

PROBLEM: Final = "urn:cleverbox:problem:"
_AGAIN: Final = (429, 502, 503, 504)
"""Answers after which the same call may succeed; each of our calls may be repeated."""
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 30.0
_ANSWER_S: Final = 10.0
"""How long an answer may take beyond what the gateway was asked to wait."""


class Page(NamedTuple):
    """Messages in order; `next` is the cursor to go on from, also when there are none."""

    messages: Sequence[Message[Content]]
    next: str
    has_more: bool


class _WirePage(msgspec.Struct):
    messages: list[msgspec.Raw]
    next: str
    has_more: bool


class Consumer(msgspec.Struct, frozen=True):
    """A consumer: its committed cursor, and how many positions lie behind it."""

    name: str
    cursor: str
    lag: int
    tenant: str | None = None
    types: list[str] = []


class _Problem(msgspec.Struct):
    type: str = ""
    title: str = ""
    detail: str = ""
    resume: str = ""


class _TryAgain(Exception):
    """Not now; `after_s` is how long the gateway asked to wait."""

    def __init__(self, text: str, after_s: float = 0.0) -> None:
        super().__init__(text)
        self.after_s = after_s


class Calls:
    """Calls with one API key. Safe to share between threads."""

    def __init__(
        self,
        base_url: str,
        key: str,
        patience_s: float,
        transport: httpx.BaseTransport | None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not (key.isascii() and key.isprintable()):
            # h11 would quote it in its error, whose text is logged and raised
            raise InvalidInput("the API key holds a line's end or what else no header may")
        self._http = httpx.Client(
            base_url=base_url.rstrip("/"),
            headers={"authorization": f"Bearer {key}", "accept": "application/json"},
            transport=transport,
            follow_redirects=False,
        )
        self._patience_s = patience_s
        self._sleep = sleep

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def page(
        self,
        path: str,
        query: Mapping[str, Any],
        *,
        wait_s: float,
        patience_s: float | None = None,
    ) -> Page:
        """A page of messages, as `call`."""
        wire = self.call(_WirePage, "GET", path, query=query, wait_s=wait_s, patience_s=patience_s)
        return Page([decode(raw) for raw in wire.messages], wire.next, wire.has_more)

    def call(
        self,
        kind: type[T],
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        wait_s: float = 0.0,
        patience_s: float | None = None,
    ) -> T:
        """The answer as `kind`. Raises the problem it is told, and `Unavailable` when the gateway
        is away for longer than `patience_s` (default: the client's own; infinite: for ever, and
        any 5xx is tried again).
        """
        request = self._http.build_request(
            method,
            path,
            params={k: v for k, v in (query or {}).items() if v not in (None, "", [])},
            json=body,
            timeout=httpx.Timeout(_ANSWER_S, read=wait_s + _ANSWER_S),
        )
        patience_s = self._patience_s if patience_s is None else patience_s
        send = self._send if patience_s < math.inf else self._send_in_any_case
        answer = self._retrying(patience_s)(send, request)
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except msgspec.MsgspecError as error:
            raise Unavailable(f"not the gateway's answer, at {request.url.host}: {error}") from None

    def raw(self, path: str) -> bytes:
        """The body of a GET."""
        request = self._http.build_request("GET", path, timeout=_ANSWER_S)
        return self._retrying(self._patience_s)(self._send, request).content

    def _retrying(self, patience_s: float) -> tenacity.Retrying:
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TryAgain),
            wait=_pause_s,
            stop=tenacity.stop_before_delay(patience_s),
            sleep=self._sleep,
            before_sleep=_tell,
            retry_error_callback=_give_up,
        )

    def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            answer = self._http.send(request)
        except httpx.TransportError as error:
            raise _TryAgain(f"{type(error).__name__}: {error}") from error
        if answer.status_code in _AGAIN:
            raise _TryAgain(f"answer {answer.status_code}", _retry_after_s(answer))
        if not answer.is_success:
            raise _error(answer)
        return answer

    def _send_in_any_case(self, request: httpx.Request) -> httpx.Response:
        """For those who wait however long: also a fault of the gateway may be mended meanwhile."""
        try:
            return self._send(request)
        except Unavailable as error:
            raise _TryAgain(str(error)) from error


def _error(answer: httpx.Response) -> GatewayError:
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
    except msgspec.MsgspecError:
        problem = _Problem(title=f"answer {answer.status_code}")
    text = problem.detail or problem.title
    kind = _BY_REASON.get(problem.type.removeprefix(PROBLEM))
    if kind is None:
        return InvalidInput(text) if answer.status_code < 500 else Unavailable(text)
    if issubclass(kind, CursorError):
        return kind(text, resume=problem.resume)
    return kind(text)


def _pause_s(state: tenacity.RetryCallState) -> float:
    asked_s = 0.0
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _TryAgain):
        asked_s = error.after_s
    grown_s = _FIRST_PAUSE_S * 2 ** min(state.attempt_number - 1, 10)
    return float(min(_LONGEST_PAUSE_S, max(asked_s, grown_s)))


def _tell(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("the gateway is away (%s); trying again in %.1f s", error, state.upcoming_sleep)


def _give_up(state: tenacity.RetryCallState) -> httpx.Response:
    error = state.outcome.exception() if state.outcome else None
    raise Unavailable(f"the gateway is away: {error}") from error


def _retry_after_s(answer: httpx.Response) -> float:
    given = answer.headers.get("retry-after", "")
    return float(given) if given.isdecimal() and len(given) < 6 else 0.0


_BY_REASON: Final[Mapping[str, type[GatewayError]]] = {
    kind.reason: kind
    for kind in (
        errors.InvalidInput,
        errors.NotFound,
        errors.Conflict,
        errors.Unauthenticated,
        errors.Forbidden,
        errors.TooLarge,
        errors.LogRestored,
        errors.CursorExpired,
        errors.KeyDestroyed,
        errors.Tampered,
        errors.Unavailable,
    )
}
"""What problems are raised as; the name in a problem's type is the error's reason."""
