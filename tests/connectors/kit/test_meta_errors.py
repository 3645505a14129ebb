"""Every code that Meta's pages and reports name stands in the tables."""

import json
from typing import Any

import pytest

from connectors.kit.meta.errors import GraphError, refusal, verdict
from connectors.kit.transport.refusals import Answer
from contracts.errors import (
    Permanent,
    PermissionMissing,
    ProviderError,
    Reauthorize,
    Retryable,
    Throttled,
    WindowClosed,
)

REAUTHORIZE = "102 190 190/458 190/459 190/460 190/463 190/464 190/467 190/492"
PERMISSION = "3 10 200 294 299 131005"
THROTTLED = "4 17 32 613 613/1996 80001 80002 80005 80006 80007 80008 368 130429 131048 131056"
TEMPORARY = "1 2 341 1200 131000 131016"
WINDOW = "10/2018278 10/2534022 131047"
FINAL = (
    "10/2018108 10/2018028 200/2018028 551 551/1545041 100 100/33"
    " 100/2018001 100/2018109 100/2018218 2018218 230 9010 100/2534025 2534025 10900 2500"
    " 131026 131031 131042 131049 131050 131051 132000 132001 132015 132999 133016"
)
SAID = {
    Reauthorize: REAUTHORIZE,
    PermissionMissing: PERMISSION,
    Throttled: THROTTLED,
    Retryable: TEMPORARY,
    WindowClosed: WINDOW,
    Permanent: FINAL,
}
CASES = [(code, kind) for kind, codes in SAID.items() for code in codes.split()]


def answer(**error: Any) -> Answer:
    return Answer("graph.facebook.com", 400, {}, json.dumps({"error": error}).encode(), True)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_code_is_in_the_tables(name: str, kind: type[ProviderError]) -> None:
    code, _, subcode = name.partition("/")
    meant = verdict(GraphError(int(code), int(subcode) if subcode else None))
    assert meant is not None
    assert meant.kind is kind


def test_what_is_said_to_be_temporary_is() -> None:
    assert type(refusal(answer(code=999_999, is_transient=True), "10")) is Retryable
    assert type(refusal(answer(code=999_999), "10")) is Permanent


@pytest.mark.parametrize(
    ("code", "scope"), [(4, "app"), (32, "10"), (80006, "10"), (368, "10"), (131056, "pair")]
)
def test_a_limit_names_what_it_closes(code: int, scope: str) -> None:
    error = refusal(answer(code=code), "10")
    assert isinstance(error, Throttled)
    assert error.scope == scope
