"""Structured logs for every process: one line an event, with secrets and content left out."""

import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from contracts.errors import GatewayError
from contracts.tokens import MASK, Secret

LONGEST: Final = 500
"""Longer text is cut: what is so long is content, or of no use."""

CONTENT: Final = frozenset(
    {
        *("address", "contact", "email", "name", "phone", "recipient", "sender", "username"),
        *("body", "content", "html", "payload", "plaintext", "query", "subject", "text", "url"),
        *("authorization", "cookie", "password", "sealed", "secret", "signature", "token"),
    }
)
"""A key is masked when one of its words (between underscores) is one of these."""

_IN_TEXT: Final = (
    (re.compile(r"\b(bearer)\s+\S+", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"://[^\s@]+@"), f"://{MASK}@"),
    (re.compile(r"([?&]\w*(?:token|secret|key|code|signature)=)[^\s&]+"), rf"\1{MASK}"),
    (re.compile(r"\bcbg_[\w-]{8,}|\bEAA[A-Za-z0-9]{12,}"), MASK),
)
"""Secrets in a text of somebody else's: bearer tokens, credentials and parameters of URLs, API keys
of ours, Graph tokens."""

_HEARD: Final = ("celery", "uvicorn")
_FRAMES: Final = 12


def configure(
    form: Literal["json", "console"], level: str = "info", stream: TextIO | None = None
) -> None:
    """Send structlog's and the standard library's logs, redacted, to `stream` (standard error).

    Call it once, in the process's main. `level`: debug, info, warning or error.
    """
    out = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        told_exception,
        redacted,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(form, out),
            ],
        )
    )
    handler.addFilter(is_for_us)
    handler.addFilter(without_errors_text)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    _quieten()


def redacted(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Processor: mask what a key's name or a value's form says is secret or content."""
    for key, value in event.items():
        if key.startswith("_"):
            continue
        event[key] = MASK if _is_content(key) else _shown(value)
    return event


def told_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Processor: `exc_info` becomes types and places; texts of expected errors alone are told."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["exception"] = [_told(link) for link in _chain(error)]
    return event


def is_for_us(record: logging.LogRecord) -> bool:
    """Filter: below warnings only we ourselves are heard, and from info on who says that a process
    runs. What others say there are URLs, headers, bodies and keys (botocore's hold plaintext).
    """
    if record.levelno >= logging.WARNING or hasattr(record, "_from_structlog"):
        return True
    if isinstance(record.msg, dict):  # structlog's own event
        return True
    return record.levelno >= logging.INFO and record.name.startswith(_HEARD)


def without_errors_text(record: logging.LogRecord) -> bool:
    """Filter: others say an error's text in their message. Celery does of a task (say which), it
    and kombu of a broker (say the error's type), asyncio of futures and of what callbacks were
    called with, Starlette with a whole traceback.
    """
    if isinstance(record.args, Mapping) and "exc" in record.args:
        record.msg, record.args = f"task.failed: {record.args.get('name')}", ()
    elif record.name == "asyncio":
        said = "uncaught" if record.exc_info else record.getMessage().partition("\n")[0]
        record.msg, record.args = said, ()
    elif isinstance(record.msg, str) and record.msg.startswith("Traceback "):
        record.msg, record.args, record.exc_info = "a traceback", (), sys.exc_info()
    elif isinstance(record.args, Mapping):
        record.args = {name: _named(value) for name, value in record.args.items()}
    elif record.args:
        record.args = tuple(map(_named, record.args))
    return True


class _Name(str):
    """What prints without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def _named(value: object) -> object:
    return _Name(type(value).__qualname__) if isinstance(value, BaseException) else value


def catch_uncaught() -> None:
    """Have what nobody catches logged like every other error, where Python would print its text.

    Call it once, in the process's main, when logs are configured.
    """
    sys.excepthook = lambda kind, error, trace: _uncaught("main", error)
    threading.excepthook = lambda hooked: (
        _uncaught("thread", hooked.exc_value) if hooked.exc_type is not SystemExit else None
    )
    sys.unraisablehook = lambda hooked: _uncaught("unraisable", hooked.exc_value)


def _uncaught(where: str, error: BaseException | None) -> None:
    structlog.get_logger(__name__).error("uncaught", where=where, exc_info=error)


def _renderers(form: str, out: TextIO) -> list[Processor]:
    if form == "json":
        return [structlog.processors.JSONRenderer(default=repr, ensure_ascii=True)]
    return [_lined, structlog.dev.ConsoleRenderer(colors=out.isatty(), pad_event_to=24)]


def _lined(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Processor: errors as lines, for people."""
    if told := event.pop("exception", None):
        event["exception"] = "\n".join(
            line
            for error in told
            for line in (
                f"{error['type']}: {error.get('detail', '(its text is not logged)')}",
                *(f"  {place}" for place in error.get("at", ())),
            )
        )
    return event


def _quieten() -> None:
    """Libraries log through our handler alone, and those that chat from warnings on."""
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "celery", "sqlalchemy", "alembic"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    for name in (*_CHATTY, *_TELL_TOKENS):
        logging.getLogger(name).setLevel(logging.WARNING)


_CHATTY: Final = ("alembic", "amqp", "asyncio", "kombu", "sqlalchemy")
_TELL_TOKENS: Final = (
    *("httpcore", "httpx", "oauthlib", "requests_oauthlib", "urllib3"),
    *("google", "googleapiclient", "google_auth_httplib2", "google_auth_oauthlib"),
)
"""Below warnings they log URLs, headers, bodies or tokens."""


def _is_content(key: str) -> bool:
    return not CONTENT.isdisjoint(key.lower().replace("-", "_").split("_"))


def _shown(value: Any) -> Any:
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, str):
        return _without_secrets(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    if isinstance(value, dict):
        return {key: MASK if _is_content(str(key)) else _shown(v) for key, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown(entry) for entry in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, BaseException):
        return _told(value)["type"]
    return type(value).__qualname__


def _without_secrets(text: str) -> str:
    for secret, mask in _IN_TEXT:
        text = secret.sub(mask, text)
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it came from, outermost first."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        following = link.__cause__
        link = following or (None if link.__suppress_context__ else link.__context__)


def _told(error: BaseException) -> dict[str, Any]:
    told: dict[str, Any] = {"type": type(error).__qualname__}
    if isinstance(error, GatewayError):
        told["detail"] = _without_secrets(str(error))
    if error.__traceback__:
        told["at"] = list(_places(error.__traceback__))
    return told


def _places(trace: TracebackType) -> Iterator[str]:
    """The innermost frames, as file, line and function: never their source or variables."""
    for frame, line in list(traceback.walk_tb(trace))[-_FRAMES:]:
        code = frame.f_code
        file = "/".join(code.co_filename.rsplit("/", 3)[-3:])
        yield f"{file}:{line} {code.co_name}"
