"""Message ids and lanes are fixed for ever: vectors, round trips, refusals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import InvalidInput
from storage import message_id
from storage.lanes import lane_of
from storage.schema import LANES

MOST = (1 << 23) - 1


@given(st.integers(-MOST, MOST), st.binary(min_size=16, max_size=16))
def test_an_id_comes_back_as_it_was_packed(day: int, digest: bytes) -> None:
    text = message_id.pack(day, digest)
    assert len(text) == 30
    assert message_id.parse(text) == (day, digest)


@given(st.text(max_size=40))
def test_any_other_text_is_invalid_input(text: str) -> None:
    with pytest.raises(InvalidInput):
        message_id.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "msg_",
        "AFB4AAECAwQFBgcICQoLDA0ODw",  # no prefix
        "msg_AFB4AAECAwQFBgcICQoLDA0ODx",  # another spelling of the same bytes
        "msg_AFB4AAECAwQFBgcICQoLDA0ODw==",
        "msg_AFB4AAECAwQFBgcICQoLDA0OD",
        "msg_gAAAAAAAAAAAAAAAAAAAAAAAAA",  # a day that is never packed
        "msg_\ud800",
    ],
)
def test_what_looks_like_an_id_but_is_none(text: str) -> None:
    with pytest.raises(InvalidInput):
        message_id.parse(text)


def test_ids_never_change() -> None:
    assert message_id.pack(20600, bytes(range(16))) == "msg_AFB4AAECAwQFBgcICQoLDA0ODw"
    assert message_id.pack(-1, bytes(16)) == "msg_____AAAAAAAAAAAAAAAAAAAAAA"
    assert message_id.seal_id(20600, bytes(range(16))) == b"\x00\x50\x78" + bytes(range(16))


@pytest.mark.parametrize(("day", "size"), [(1 << 23, 16), (-(1 << 23), 16), (0, 15), (0, 17)])
def test_what_makes_no_id(day: int, size: int) -> None:
    with pytest.raises(ValueError, match="a day and 16 bytes"):
        message_id.seal_id(day, bytes(size))


@pytest.mark.parametrize(
    ("provider", "route", "lane"),
    [
        ("facebook", "1234567890", 440),
        ("facebook", "", 278),
        ("meta", "", 512),
        ("instagram", "17841400000000000", 25),
        ("gmail", "ünï@example.org", 110),
    ],
)
def test_lanes_never_change(provider: str, route: str, lane: int) -> None:
    assert lane_of(provider, route) == lane


@given(st.text(st.characters(exclude_categories=())))
def test_every_route_has_a_lane(route: str) -> None:
    assert 0 <= lane_of("facebook", route) < LANES
