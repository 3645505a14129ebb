"""The table of health in words: what is known → what is said, and what to do."""

from pathlib import Path

import pytest

from contracts.causes import KINDS
from gateway.explaining import Facts, Rest, explain, short
from storage.activity import Activity
from storage.connections import Connection, Grant
from storage.due import Standing
from storage.inspections import Subscription
from storage.pausing import Pause, Waits

T = 1_790_000_000_000
CONNECTION = Connection("con_a", "acme", "facebook", b"", b"", "active", "", T, T, T)
GRANT = Grant("gra_1", "acme", "meta", b"", ["pages_messaging"], b"", 1, T)
WHOLE = Subscription("on", checked_at_ms=T)
WELL = Facts(
    CONNECTION,
    [GRANT],
    WHOLE,
    Activity("con_a", T, {}),
    Standing(False, 3_600_000, 0, ""),
    {"gra_1": Standing(False, 60_000, 0, "")},
    reconnect_url="https://gateway.example/connect/again/con_a.x",
    now_ms=T,
)


def with_cause(kind: str, words: str, status: str = "degraded") -> Facts:
    causes = {kind: words}
    return WELL._replace(connection=CONNECTION._replace(status=status, causes=causes))


def said(facts: Facts) -> list[str]:
    """All of it, in lines."""
    return [f"{says} → {do}" if do else says for says, do in explain(facts)]


def test_one_that_works_says_so_first() -> None:
    assert said(WELL) == [
        "It works.",
        "Its subscription was found whole at 2026-09-21T14:13:20.000Z.",
        "Something was last received for it at 2026-09-21T14:13:20.000Z.",
    ]


def test_calls_that_rest_for_a_limit_are_told_and_until_when() -> None:
    account = Rest(T + 60_000, False, "usage")
    app = Rest(T + 120_000, True, "refused")
    goes_on = "It goes on by itself; what is received arrives meanwhile."
    rest = "Calls to the provider rest until 2026-09-21T14"
    assert said(WELL._replace(rests=[account, app]))[1:3] == [
        f"{rest}:14:20.000Z: the limit of this account is nearly used up. → {goes_on}",
        f"{rest}:15:20.000Z: the provider refuses more calls of our whole app. → {goes_on}",
    ]


AGAIN = "Have its owner connect again: https://gateway.example/connect/again/con_a.x"
SEE = """See whether the provider's app still has our webhook, and may receive. The account
is subscribed anew every day; gateway connections resync con_a does so now."""
WRITE = """Write something to the account. If it does not arrive, see at the provider whether
another app has taken over its messages."""


@pytest.mark.parametrize(
    ("kind", "says", "do"),
    [
        ("refused:gra_1", "The provider takes its owner's consent no more: so.", AGAIN),
        (
            "token:gra_1",
            "Its token has ended, and there is no newer one: so.",
            "It is tried again at 2026-09-21T14:14:20.000Z.",
        ),
        ("scopes", "Not everything that was chosen is allowed: so.", AGAIN),
        ("subscription", "The provider does not deliver what it should: so.", SEE),
        ("silence", "It is unusually silent, although nothing else is wrong: so.", WRITE),
    ],
)
def test_each_cause_is_said_with_what_to_do(kind: str, says: str, do: str) -> None:
    assert explain(with_cause(kind, "so"))[1] == (says, do.replace("\n", " "))


@pytest.mark.parametrize(
    ("facts", "says", "do"),
    [
        (
            WELL._replace(off="META_APP_SECRET"),
            "Its provider is off, so that it does nothing.",
            "Set META_APP_SECRET.",
        ),
        (
            WELL._replace(looks=Standing(False, 5_000, 2, "retryable: the provider is away")),
            "The last look at it failed: retryable: the provider is away.",
            "It is tried again at 2026-09-21T14:13:25.000Z.",
        ),
        (
            WELL._replace(refreshes={"gra_1": Standing(False, 5_000, 1, "permanent: no such app")}),
            "The last refresh of its token failed: permanent: no such app.",
            "An operator has to mend that; it is tried again at 2026-09-21T14:13:25.000Z.",
        ),
        (
            WELL._replace(grants=[]),
            "It has no token: it receives, but cannot call the provider.",
            "",
        ),
        (
            WELL._replace(grants=[GRANT._replace(declined=["email", "a"])]),
            "Its owner did not grant a, email.",
            "",
        ),
        (
            WELL._replace(grants=[GRANT._replace(expires_at_ms=T + 1000)]),
            "Its token is good until 2026-09-21T14:13:21.000Z, and renewed before.",
            "",
        ),
        (WELL._replace(activity=None), "Nothing was ever received for it.", ""),
        (
            WELL._replace(accepted="2026-01", policy="2026-11"),
            "Its owner accepted version 2026-01 of the privacy policy; today's is 2026-11.",
            "",
        ),
        (
            WELL._replace(connection=CONNECTION._replace(status="paused", status_reason="moving")),
            "It was paused: what comes in waits. The reason given: moving.",
            "Resume it when it should go on.",
        ),
    ],
)
def test_each_thing_is_said_with_what_to_do(facts: Facts, says: str, do: str) -> None:
    assert (says, do) in explain(facts)


def test_a_pause_says_what_waits_and_how_far_resuming_is() -> None:
    paused = WELL._replace(
        connection=CONNECTION._replace(status="paused"),
        pause=Pause("con_a", "resuming", "", "test", T, said=True),
        waits=Waits(3, 86_400_000),
        resumes=Standing(False, 60_000, 1, "misconfigured: provider facebook is off"),
        kept_days=30,
    )
    told = [says for says, _ in explain(paused)]
    given_up = "is given up, as a gap, after 1970-02-01T00:00:00.000Z"
    came_in = f"came in at 1970-01-02T00:00:00.000Z and {given_up}"
    assert told[1:4] == [
        "It is being resumed: what waited is being put into the feed.",
        "The last attempt to resume it failed: misconfigured: provider facebook is off.",
        f"3 deliveries wait; the oldest {came_in}.",
    ]
    ill = paused._replace(connection=paused.connection._replace(causes={"scopes": "so and so"}))
    assert sum("so and so" in line for line in said(ill)) == 1, "what is wrong is said all the same"


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_cause_has_words_of_its_own(kind: str) -> None:
    facts = with_cause(kind, "so and so")
    assert sum("so and so" in line for line in said(facts)) == 1
    assert short(facts.connection) not in ("", "so and so")


def test_what_has_no_cause_keeps_its_reason_in_a_table() -> None:
    assert short(CONNECTION._replace(status="revoked", status_reason="by an operator")) == (
        "by an operator"
    )


def test_of_what_was_ended_nothing_is_wrong() -> None:
    ended = with_cause("scopes", "so", "revoked")
    assert short(ended.connection) == ""
    assert not any("so." in line for line in said(ended))


@pytest.mark.parametrize("status", ["revoking", "revoked"])
def test_of_what_was_ended_nothing_is_said_but_that(status: str) -> None:
    """Its tokens and what was noted of it are gone, and the subscription may be others'."""
    ended = CONNECTION._replace(status=status)
    failed = Standing(False, 60_000, 1, "retryable: it is being disconnected just now")
    facts = WELL._replace(connection=ended, grants=(), activity=None, looks=failed)
    assert len(explain(facts)) == 1


def test_a_policy_that_nobody_was_asked_about_or_that_is_todays_is_not_mentioned() -> None:
    for accepted in (None, "2026-11"):
        assert said(WELL._replace(accepted=accepted, policy="2026-11")) == said(WELL)


@pytest.mark.parametrize("kind", KINDS)
def test_the_operators_page_has_a_line_for_each_cause(kind: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    assert f"\n| {short(with_cause(kind, 'so').connection)} | " in page
