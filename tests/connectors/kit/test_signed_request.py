"""Meta's signed requests: by either app, and nothing else."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest

from connectors.kit.meta.signed_request import SignedRequests
from contracts.errors import BadSignature, InvalidInput
from contracts.tokens import Secret

DOCUMENTED = (
    "Os5Dm65SU9HOEKTXcWFnDgd38emvDf-dWSp4KyJpZh4"
    ".eyJhbGdvcml0aG0iOiJITUFDLVNIQTI1NiIsImlzc3VlZF9hdCI6MTc5MDAwMDAwMCwidXNlcl9pZCI6IjQyIn0"
)
REQUESTS = SignedRequests(
    {"meta": [Secret("test-secret"), Secret("old")], "instagram": [Secret("its own")]}
)


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def signed(payload: object, secret: str = "test-secret") -> str:
    encoded = b64(json.dumps(payload).encode())
    digest = hmac.digest(secret.encode(), encoded.encode(), hashlib.sha256)
    return f"{b64(digest)}.{encoded}"


def payload(**changed: object) -> dict[str, object]:
    whole = {"algorithm": "HMAC-SHA256", "issued_at": 1790000000, "user_id": "42"}
    return {**whole, **changed}


def test_the_documented_one_is_read() -> None:
    told = REQUESTS.read(DOCUMENTED, "deletion")
    assert (told.login, told.names) == ("meta", (("user", "42"),))
    assert told.at == datetime.fromtimestamp(1790000000, UTC)


@pytest.mark.parametrize(
    ("secret", "login"), [("test-secret", "meta"), ("old", "meta"), ("its own", "instagram")]
)
def test_it_says_whose_app_signed(secret: str, login: str) -> None:
    assert REQUESTS.read(signed(payload(), secret), "deauthorize").login == login


def test_the_same_told_again_is_known_by_its_payload() -> None:
    first, again = (REQUESTS.read(signed(payload()), "deletion") for _ in range(2))
    other = REQUESTS.read(signed(payload(issued_at=1790000001)), "deletion")
    assert first.once == again.once != other.once
    assert REQUESTS.read(signed(payload()), "deauthorize").once != first.once


@pytest.mark.parametrize("user", ["0", 0, ""])
def test_an_app_taken_from_a_page_names_nobody(user: object) -> None:
    """User `0` is no user: nothing of anybody's is deleted."""
    told = REQUESTS.read(signed(payload(user_id=user, profile_id="9")), "deauthorize")
    assert told.names == ()


def test_a_number_is_an_id_too() -> None:
    assert REQUESTS.read(signed(payload(user_id=42)), "deletion").names == (("user", "42"),)


@pytest.mark.parametrize(
    "forged",
    [
        signed(payload(), "another's"),
        signed(payload(), "test-secret")[1:],
        "AAAA." + DOCUMENTED.partition(".")[2],
        DOCUMENTED[:-2] + "fQ",
    ],
)
def test_what_no_app_of_ours_signed_is_refused(forged: str) -> None:
    with pytest.raises((BadSignature, InvalidInput)):
        REQUESTS.read(forged, "deletion")


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        ".",
        "no dot",
        "ä.ö",
        "!!!.!!!",
        signed(payload())[:-1] + "=",
        signed([]),
        signed("text"),
        signed({}),
        signed(payload(algorithm="none")),
        signed(payload(issued_at="soon")),
        signed(payload(issued_at=10**18)),
        signed(payload(user_id=["42"])),
        "A" * 20_000 + ".B",
    ],
)
def test_the_malformed_is_refused_without_its_content(malformed: str) -> None:
    with pytest.raises((BadSignature, InvalidInput)) as refused:
        REQUESTS.read(malformed, "deletion")
    assert "42" not in str(refused.value)


def test_without_an_app_nothing_is_signed() -> None:
    assert not SignedRequests({}).is_on
    with pytest.raises(BadSignature):
        SignedRequests({}).read(DOCUMENTED, "deletion")
