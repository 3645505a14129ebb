"""Logs say what happened, and neither secrets nor content, whoever logs them."""

import io
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from contracts import logs
from contracts.errors import StoreUnavailable
from contracts.tokens import Secret

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Everything logged so far, one dict a line."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    logs.configure("json", "info", out)
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("token", "abc"),
        ("access_token", "abc"),
        ("Authorization", "abc"),
        ("app-secret", "abc"),
        ("text", "abc"),
        ("from_name", "abc"),
        ("email", "abc"),
        ("request_body", "abc"),
        ("detail", "Bearer abc"),
        ("detail", "connect to postgresql://me:abc@db/gateway"),
        ("detail", "connect to postgresql://me:a/abc@db/gateway"),
        ("detail", "GET https://graph.example/me?access_token=abc&fields=id"),
        ("detail", {"nested": [{"phone": "abc"}]}),
        ("detail", Secret("abc")),
        ("detail", [Secret("abc")]),
        ("detail", b"abc"),
    ],
)
def test_secrets_and_content_are_masked(lines: Lines, key: str, value: object) -> None:
    structlog.get_logger().info("something", **{key: value})
    (line,) = lines()
    assert line["event"] == "something"
    assert "abc" not in json.dumps(line)


def test_what_is_neither_is_told(lines: Lines) -> None:
    structlog.get_logger("here").warning("lane.drained", lane=7, provider="facebook", reason="x")
    (line,) = lines()
    assert line["lane"] == 7
    assert line["provider"] == "facebook"
    assert line["level"] == "warning"
    assert line["timestamp"].endswith("Z")


def test_errors_are_told_by_type_and_place_without_their_text(lines: Lines) -> None:
    log = structlog.get_logger()
    try:
        try:
            raise KeyError("what a contact wrote")
        except KeyError as error:
            raise StoreUnavailable("connection refused") from error
    except StoreUnavailable:
        log.exception("failed")
    (line,) = lines()
    outer, inner = line["exception"]
    assert outer["type"] == "StoreUnavailable"
    assert outer["detail"] == "connection refused"
    assert inner["type"] == "KeyError"
    assert "test_logs.py" in inner["at"][-1]
    assert "what a contact wrote" not in json.dumps(line)


def test_the_standard_library_logs_through_the_same(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    uvicorn = logging.getLogger("uvicorn.error")
    monkeypatch.setattr(uvicorn, "level", logging.NOTSET)  # a server in this process sets it
    logging.getLogger("uvicorn.error").info("Started with %s", "postgresql://me:abc@db/x")
    logging.getLogger("kombu").info("chat")
    try:
        raise ValueError("what a contact wrote")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    first, second = lines()
    assert "abc" not in first["event"]
    assert second["exception"][0]["type"] == "ValueError"
    assert "what a contact wrote" not in json.dumps(second)


def test_a_failed_task_is_named_without_its_errors_text(lines: Lines) -> None:
    words = {"name": "gateway.drain", "id": "1", "exc": "KeyError('what a contact wrote')"}
    logging.getLogger("celery.app.trace").error("Task %(name)s raised: %(exc)s", words)
    (line,) = lines()
    assert line["event"] == "task.failed: gateway.drain"
    assert "what a contact wrote" not in json.dumps(line)


@pytest.mark.parametrize(
    ("name", "message", "arguments", "told"),
    [
        (
            "celery.worker",
            "Unrecoverable error: %r",
            (ValueError("what a contact wrote"),),
            "Unrecoverable error: ValueError",
        ),
        (
            "celery.worker.consumer.consumer",
            "consumer: Cannot connect to %s: %s.\n%s",
            ("redis://", ConnectionError("what a contact wrote"), "Trying again"),
            "consumer: Cannot connect to redis://: ConnectionError.\nTrying again",
        ),
        (
            "kombu",
            "lost: %(error)r",
            ({"error": OSError("what a contact wrote")},),
            "lost: OSError",
        ),
        (
            "uvicorn.error",
            "Traceback (most recent call last):\n  File\nKeyError: 'what a contact wrote'",
            (),
            "a traceback",
        ),
    ],
)
def test_others_do_not_tell_errors_texts_in_their_messages(
    lines: Lines, name: str, message: str, arguments: tuple[object, ...], told: str
) -> None:
    logging.getLogger(name).critical(message, *arguments)
    (line,) = lines()
    assert line["event"] == told


def test_a_traceback_in_a_message_is_told_as_its_error(lines: Lines) -> None:
    """Starlette sends one when the edge does not start, and uvicorn logs it as it is."""
    try:
        raise KeyError("what a contact wrote")
    except KeyError:
        logging.getLogger("uvicorn.error").error(traceback.format_exc())
    (line,) = lines()
    assert line["exception"][0]["type"] == "KeyError"
    assert "what a contact wrote" not in json.dumps(line)


def test_long_text_is_cut_and_levels_are_heeded(lines: Lines) -> None:
    log = structlog.get_logger()
    log.debug("quiet")
    log.info("loud", detail="x" * 5000)
    (line,) = lines()
    assert len(line["detail"]) == logs.LONGEST + 1


def test_the_console_form_says_the_same() -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    try:
        logs.configure("console", "debug", out)
        structlog.get_logger().debug("seen", token="abc", lane=3)
        try:
            raise ValueError("abc")
        except ValueError:
            structlog.get_logger().exception("failed")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
    assert "seen" in out.getvalue()
    assert "lane=3" in out.getvalue()
    assert "ValueError" in out.getvalue()
    assert "test_the_console_form_says_the_same" in out.getvalue()
    assert "abc" not in out.getvalue()


def test_others_are_heard_from_warnings_on() -> None:
    """At debug botocore logs what it sends to a KMS: keys in clear."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    try:
        logs.configure("json", "debug", out)
        for name in ("botocore.endpoint", "urllib3.connectionpool", "somebody.new"):
            logging.getLogger(name).debug("sending %s", "abc")
            logging.getLogger(name).info("sending %s", "abc")
            logging.getLogger(name).warning("it is slow")
        logging.getLogger("celery.apps.worker").info("ready.")
        structlog.get_logger().debug("ours")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
    assert "abc" not in out.getvalue()
    events = [json.loads(line)["event"] for line in out.getvalue().splitlines()]
    assert events == [*["it is slow"] * 3, "ready.", "ours"]
