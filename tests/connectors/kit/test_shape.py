"""Times in three units, ids as text or number."""

from datetime import UTC, datetime

import pytest

from connectors.kit.shape import (
    Misshapen,
    Number,
    attachment_id,
    milliseconds,
    moment,
    named,
    whole_number,
)


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        (1790000000123, 1790000000123),
        ("1790000000123", 1790000000123),
        (1790000000, 1790000000000),
        ("1790000000", 1790000000000),
        (1790000000.9, 1790000000000),
        (1790000000123.7, 1790000000123),
    ],
)
def test_times_come_in_milliseconds_or_seconds(value: Number, ms: int) -> None:
    assert milliseconds(value) == ms


@pytest.mark.parametrize(
    "value", [0, -1, 5, "", "soon", "1e12", "9" * 5000, 10**30, 1e300, float("inf"), float("nan")]
)
def test_other_times_are_refused_without_repeating_them(value: Number) -> None:
    with pytest.raises(Misshapen, match=r"^watermark is (not a number|outside of the years)"):
        milliseconds(value, "watermark")


def test_moments_are_exact_to_the_millisecond() -> None:
    assert moment(1790000000123) == datetime(2026, 9, 21, 14, 13, 20, 123000, tzinfo=UTC)
    for ms in range(1790000000000, 1790000001000):
        assert moment(ms).microsecond == ms % 1000 * 1000


def test_an_id_must_not_be_empty() -> None:
    assert named(12, "mid") == "12"
    with pytest.raises(Misshapen, match="mid is empty"):
        named("", "mid")


def test_counts_come_as_text_or_number() -> None:
    assert whole_number("3", "num_edit") == whole_number(3, "num_edit") == 3
    with pytest.raises(Misshapen, match="num_edit is not a number"):
        whole_number("three", "num_edit")


def test_attachments_keep_their_ids() -> None:
    assert attachment_id("con_1", "m_1", 0) == attachment_id("con_1", "m_1", 0)
    ids = {
        attachment_id(account, message, index)
        for account in ("con_1", "con_2")
        for message in ("m_1", "m_2")
        for index in range(3)
    }
    assert len(ids) == 12
