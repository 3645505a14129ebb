"""Objects sealed in chunks: whole, in parts, and never rearranged."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Tampered
from token_vault import ObjectKey, new_object_key, span
from token_vault.objects import CHUNK

SEALED = CHUNK + 33
KEY = new_object_key()
SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 7)


def plain(size: int) -> bytes:
    return bytes(itertools.islice(itertools.cycle(range(251)), size))


def key(object_id: str = "med_1", tenant: str = "acme") -> ObjectKey:
    return ObjectKey(KEY, tenant, object_id)


WHOLE = {size: b"".join(key().seal([plain(size)])) for size in SIZES}


def opened(size: int, first: int, count: int) -> bytes:
    at = span(size, first, count)
    return b"".join(key().open([WHOLE[size][at.start :][: at.length]], size, first, count))


@pytest.mark.parametrize("size", SIZES)
def test_it_opens_again_whatever_its_size(size: int) -> None:
    assert opened(size, 0, size) == plain(size)
    assert span(size, 0, size) == (0, len(WHOLE[size]))


@given(st.sampled_from(SIZES[1:]), st.data())
def test_a_part_opens_alone(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, size - 1))
    count = data.draw(st.integers(1, size - first))
    assert opened(size, first, count) == plain(size)[first : first + count]
    assert span(size, first, count).length <= (count // CHUNK + 2) * SEALED


@given(st.lists(st.integers(0, 2 * CHUNK), max_size=5))
def test_pieces_may_have_any_size(sizes: list[int]) -> None:
    whole = plain(sum(sizes))
    ends = list(itertools.accumulate(sizes))
    pieces = [whole[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    sealed = key().seal(pieces)
    assert b"".join(key().open(sealed, len(whole), 0, len(whole))) == whole


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s[SEALED:] + s[:SEALED],
        lambda s: s[:SEALED],
        lambda s: s[: 3 * SEALED],
        lambda s: s[:-1],
        lambda s: b"",
        lambda s: s[:SEALED] + s[2 * SEALED :],
        lambda s: s[:9] + bytes([s[9] ^ 1]) + s[10:],
    ],
)
def test_nothing_can_be_moved_or_cut_off(spoil: object) -> None:
    size = 3 * CHUNK + 7
    assert callable(spoil)
    with pytest.raises(Tampered):
        b"".join(key().open([spoil(WHOLE[size])], size, 0, size))


def test_it_opens_for_its_tenant_and_object_alone() -> None:
    for other in (key("med_2"), key(tenant="other"), ObjectKey(new_object_key(), "acme", "med_1")):
        with pytest.raises(Tampered):
            b"".join(other.open([WHOLE[1]], 1, 0, 1))


def test_another_size_does_not_make_it_shorter_or_longer() -> None:
    for size in (CHUNK, 2 * CHUNK, 4 * CHUNK):
        with pytest.raises(Tampered):
            b"".join(key().open([WHOLE[3 * CHUNK]], size, 0, size))
