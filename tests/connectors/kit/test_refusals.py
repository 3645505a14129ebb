"""HTTP statuses and Retry-After become our errors."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from connectors.kit.transport.refusals import Answer, by_status, retry_after_s
from contracts.errors import (
    OutcomeUnknown,
    Permanent,
    ProviderError,
    Retryable,
    Throttled,
)


@pytest.mark.parametrize(
    ("status", "repeatable", "kind"),
    [
        (429, False, Throttled),
        (500, True, Retryable),
        (503, False, OutcomeUnknown),
        (408, True, Retryable),
        (401, True, Permanent),
        (302, True, Permanent),
        (404, True, Permanent),
    ],
)
def test_statuses_become_errors(status: int, repeatable: bool, kind: type[ProviderError]) -> None:
    answer = Answer("host", status, {"retry-after": "7"}, b"BODY1", repeatable)
    error = by_status(answer)
    assert type(error) is kind
    assert str(error) == f"host answered {status}"
    if isinstance(error, Retryable):
        assert error.after_s == 7


NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "after_s"),
    [
        ("120", 120),
        ("0", 0),
        (" 5 ", 5),
        ("9" * 400, 86_400),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0),
        (format_datetime(NOW + timedelta(days=9), usegmt=True), 86_400),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("Sun, 99 Nov 9999 99:99:99 GMT", None),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(value: str, after_s: float | None) -> None:
    headers = {"retry-after": value, "date": format_datetime(NOW, usegmt=True)}
    assert retry_after_s(headers) == after_s


def test_retry_after_as_a_date_without_the_answers_own() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert retry_after_s({"retry-after": later}) == pytest.approx(60, abs=2)
