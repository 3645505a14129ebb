"""The table: what is wrong → status and reason, and what a change is worth saying."""

import pytest

from contracts.causes import Causes, kinds
from workers.standing import Known, standing, told

REFUSED = {"refused:gra_1": "invalid_grant"}
TOKEN = {"token:gra_1": "it has expired, and retryable: away"}
SCOPES = {"scopes": "comments needs pages_read_user_content, not granted"}
GONE = {"subscription": "the provider shows none, although we asked for it"}
SILENT = {"silence": "nothing since 2026-11-20T09:00:00.000Z"}


@pytest.mark.parametrize(
    ("causes", "status", "reason"),
    [
        ({}, "active", ""),
        (REFUSED, "needs_reauth", "invalid_grant"),
        (REFUSED | {"refused:gra_2": "invalid_grant"}, "needs_reauth", "invalid_grant"),
        (
            REFUSED | {"refused:gra_2": "190/460"},
            "needs_reauth",
            "invalid_grant; 190/460",
        ),
        (REFUSED | GONE | SILENT, "needs_reauth", "invalid_grant"),
        (TOKEN, "degraded", "token: it has expired, and retryable: away"),
        (SCOPES, "degraded", "scopes: comments needs pages_read_user_content, not granted"),
        (GONE, "degraded", "subscription: the provider shows none, although we asked for it"),
        (SILENT, "degraded", "silence: nothing since 2026-11-20T09:00:00.000Z"),
        (
            SILENT | TOKEN,
            "degraded",
            f"token: {TOKEN['token:gra_1']}; silence: {SILENT['silence']}",
        ),
    ],
)
def test_a_status_follows_from_causes(causes: Causes, status: str, reason: str) -> None:
    assert standing(causes) == (status, reason)


def test_kinds_come_worst_first_and_each_once() -> None:
    assert kinds(SILENT | REFUSED | {"refused:gra_2": "x"}) == ["refused", "silence"]


ACTIVE = Known("active", {})
PENDING = Known("pending", {})
NEEDS = Known("needs_reauth", REFUSED)
COMMENTS = Known("degraded", SCOPES, ["comments"])
UNSUBSCRIBED = Known("degraded", GONE)
PAUSED = Known("paused", {})


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        (PENDING, PENDING, []),
        (PENDING, ACTIVE, ["activated"]),
        (PENDING, COMMENTS, ["activated", "degraded"]),
        (PENDING, UNSUBSCRIBED, ["degraded"]),
        (PENDING, NEEDS, ["needs_reauth"]),
        (ACTIVE, ACTIVE, []),
        (ACTIVE, COMMENTS, ["degraded"]),
        (COMMENTS, COMMENTS, []),
        (COMMENTS, Known("degraded", SCOPES, ["comments", "messages"]), ["degraded"]),
        (COMMENTS, Known("degraded", {"scopes": "in other words"}, ["comments"]), []),
        (COMMENTS, Known("degraded", SCOPES | SILENT, ["comments"]), ["degraded"]),
        (COMMENTS, ACTIVE, ["recovered"]),
        (COMMENTS, NEEDS, ["needs_reauth"]),
        (NEEDS, Known("needs_reauth", REFUSED | GONE), []),
        (NEEDS, ACTIVE, ["recovered"]),
        (NEEDS, COMMENTS, ["degraded"]),
        (PAUSED, Known("paused", REFUSED), []),
        (PAUSED, ACTIVE, ["resumed"]),
        (PAUSED, COMMENTS, ["resumed", "degraded"]),
        (PAUSED, NEEDS, ["resumed", "needs_reauth"]),
    ],
)
def test_a_change_is_said_once(was: Known, now: Known, says: list[str]) -> None:
    assert [content.type.removeprefix("connection.") for content in told(was, now)] == says
