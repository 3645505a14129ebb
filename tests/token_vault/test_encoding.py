"""Two things never encode to the same bytes."""

from hypothesis import given
from hypothesis import strategies as st

from token_vault.encoding import encode, hash_input

ANY_TEXT = st.text(st.characters(exclude_categories=()))
NEAR = st.lists(st.text("01:2a", max_size=4), max_size=4)
"""Short texts of the characters that the encoding itself uses: where a mistake would show."""


@given(NEAR, NEAR)
def test_hash_input_keeps_parts_apart(one: list[str], other: list[str]) -> None:
    assert (hash_input(one) == hash_input(other)) == (one == other)


@given(st.lists(ANY_TEXT, max_size=4), st.lists(ANY_TEXT, max_size=4))
def test_hash_input_takes_any_text(one: list[str], other: list[str]) -> None:
    assert (hash_input(one) == hash_input(other)) == (one == other)


@given(st.lists(st.binary(max_size=6), max_size=4), st.lists(st.binary(max_size=6), max_size=4))
def test_encode_keeps_parts_apart(one: list[bytes], other: list[bytes]) -> None:
    assert (encode(*one) == encode(*other)) == (one == other)


def test_known_encodings_stay_what_they_are() -> None:
    """Stored hashes and sealed bytes depend on them for ever."""
    assert hash_input(["contact", "ä1"]) == b"7:contact2:\xc3\xa41"
    assert encode("message", b"\x00") == b"\x00\x00\x00\x07message\x00\x00\x00\x01\x00"
