"""What is wrong with a query or body is said without the caller's own long words."""

from typing import Literal

import msgspec
import pytest

from contracts.errors import InvalidInput
from gateway.query import parse_body, parse_query

SECRET = "EAAabcdefghijklmnopqrstuvwxyz"


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    status: Literal["parked", "waiting"] = "parked"


@pytest.mark.parametrize(
    "query",
    [
        f"status={SECRET}",
        f"{SECRET}=1",
        f"{SECRET}=1&{SECRET}=2",
        f"status={SECRET}&status={SECRET}",
        f"status={SECRET}%27+%60x",
    ],
)
def test_a_secret_in_a_query_is_not_told_back(query: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_query(Asked, query.encode())
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("name", ["status", SECRET])
def test_a_secret_in_a_body_is_not_told_back(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_body(Asked, msgspec.json.encode({name: SECRET}))
    assert SECRET not in str(refused.value)


def test_a_misspelt_name_is_told() -> None:
    with pytest.raises(InvalidInput, match="unknown field `stauts`"):
        parse_query(Asked, b"stauts=parked")
    with pytest.raises(InvalidInput, match="value 'praked'"):
        parse_query(Asked, b"status=praked")
    with pytest.raises(InvalidInput, match="status is given twice"):
        parse_query(Asked, b"status=parked&status=waiting")
