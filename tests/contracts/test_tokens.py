"""Secrets print masked, and are refused by what would write them down."""

import copy
import dataclasses
import io
import json
import logging
import pickle
import pprint
import traceback
from datetime import UTC, datetime

import msgspec
import pytest
import structlog

from contracts import logs
from contracts.login import Tokens
from contracts.tokens import MASK, Secret

TEXT = "EAAG-secret"
SECRET = Secret(TEXT)
TOKENS = Tokens(SECRET, datetime(2026, 11, 25, tzinfo=UTC), None, Secret("1//refresh-secret"))


@dataclasses.dataclass
class Holder:
    token: Secret


@pytest.mark.parametrize(
    "shown",
    [
        repr(SECRET),
        str(SECRET),
        f"{SECRET}",
        f"{SECRET!r:>40}",
        f"{SECRET:>40}",
        "%s %r" % (SECRET, SECRET),  # noqa: UP031
        repr(TOKENS),
        repr([{"a": SECRET}]),
        pprint.pformat({"a": [SECRET]}),
        repr(Holder(SECRET)),
        repr(dataclasses.asdict(Holder(SECRET))),
        repr(msgspec.structs.asdict(TOKENS)),
        repr(copy.copy(SECRET)),
        repr(copy.deepcopy(TOKENS)),
        json.dumps({"token": SECRET}, default=str),
        json.dumps({"token": SECRET}, default=repr),
    ],
)
def test_it_prints_masked(shown: str) -> None:
    assert "-secret" not in shown
    assert MASK.encode("unicode-escape").decode() in shown or MASK in shown


def test_what_would_write_it_down_refuses_it() -> None:
    for write in (pickle.dumps, json.dumps, msgspec.json.encode, msgspec.msgpack.encode):
        for value in (SECRET, TOKENS, [SECRET]):
            with pytest.raises(TypeError) as raised:
                write(value)
            assert "-secret" not in str(raised.value)
    with pytest.raises(TypeError):
        msgspec.to_builtins(SECRET)
    with pytest.raises(TypeError):
        SECRET.__reduce_ex__(4)
    with pytest.raises(TypeError):
        vars(SECRET)


def test_it_is_compared_and_hashed_by_nobody() -> None:
    with pytest.raises(TypeError):
        _ = Secret(TEXT) == SECRET
    with pytest.raises(TypeError):
        hash(SECRET)
    with pytest.raises(ValueError, match="empty"):
        Secret("")


def test_a_traceback_with_locals_shows_a_mask() -> None:
    def fails(token: Secret, tokens: Tokens) -> None:
        raise RuntimeError("no")

    try:
        fails(SECRET, TOKENS)
    except RuntimeError as error:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
    text = "".join(told.format())
    assert "token = Secret" in text
    assert "-secret" not in text


def test_logs_show_a_mask() -> None:
    for form in ("json", "console"):
        out = io.StringIO()
        logs.configure("json" if form == "json" else "console", stream=out)
        structlog.get_logger().warning("happened", value=SECRET, held=TOKENS, many=[SECRET])
        logging.getLogger("library").warning("with %s and %r", SECRET, TOKENS)
        assert "happened" in out.getvalue()
        assert "-secret" not in out.getvalue()
    structlog.reset_defaults()


def test_its_text_is_had_by_asking_alone() -> None:
    assert SECRET.reveal() == TEXT
    assert copy.copy(SECRET).reveal() == copy.deepcopy(SECRET).reveal() == TEXT
