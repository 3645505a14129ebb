"""Refreshing: what a provider answers, and what becomes of grants, connections and the feed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from contracts.errors import (
    KeyDestroyed,
    LeaseLost,
    NotFound,
    Permanent,
    Reauthorize,
    Retryable,
    StoreUnavailable,
)
from storage.connections import Connections, Grant
from storage.database import Database, now_ms
from storage.drain import DrainStore
from storage.due import DueRows
from storage.erasing import Erasing
from storage.grants import REFRESH, Grants
from storage.openings import TokenOpenings
from storage.turns import Turn, Written
from tests.rig import Rig
from tests.workers.granted import SUBJECT, come_due, consent, refresh, said, status, take, tokens
from tests.workers.logins import LIFE_S, Provider, logins, served

ENOUGH = timedelta(minutes=5)


@pytest.fixture
def provider() -> Iterator[Provider]:
    with served(Provider()) as provider:
        yield provider


@pytest.fixture
def rig(database_url: str, tmp_path: Path, provider: Provider) -> Iterator[Rig]:
    rig = Rig(database_url, tmp_path / "var", logins(provider.url))
    yield rig
    rig.parts.scheduler.stop()
    rig.parts.transport.close()
    rig.close()


def _access(rig: Rig, grant: Grant) -> str:
    stored = Grants(rig.database).get(grant.id)
    return rig.parts.tokens.open(stored, job="test").access_token.reveal()


def _wait_ms(rig: Rig, grant: Grant) -> int | None:
    standing = DueRows(rig.database).standing(REFRESH, grant.id)
    assert standing is not None
    return standing.wait_ms


# -- as rows come due ---------------------------------------------------------------------------


def test_tokens_are_renewed_ahead_of_their_end(rig: Rig, provider: Provider) -> None:
    grant = consent(rig, tokens(60), [rig.connect("acme", "10")])
    refresh(rig)
    now = Grants(rig.database).get(grant.id)
    assert (provider.calls, now.version, _access(rig, grant)) == (1, 2, "access-1")
    assert abs((now.expires_at_ms or 0) - now_ms() - LIFE_S * 1000) < 10_000
    wait_s = (_wait_ms(rig, grant) or 0) / 1000
    assert 0.9 * (LIFE_S - 300) - 10 < wait_s <= LIFE_S - 300
    assert said(rig) == []


def test_tokens_that_are_young_are_left_alone(rig: Rig, provider: Provider) -> None:
    grant = consent(rig, tokens(LIFE_S), [])
    refresh(rig)
    assert (provider.calls, Grants(rig.database).get(grant.id).version) == (0, 1)
    assert (_wait_ms(rig, grant) or 0) > 2_000_000


def test_an_old_refresh_token_that_is_not_sent_again_is_kept(rig: Rig, provider: Provider) -> None:
    grant = consent(rig, tokens(60), [])
    for _ in range(2):
        refresh(rig)
        come_due(rig)
        stored = Grants(rig.database).get(grant.id)
        opened = rig.parts.tokens.open(stored, job="test")
        assert opened.refresh_token is not None
        assert opened.refresh_token.reveal() == "refresh-0"


def test_who_consented_is_known_as_long_as_the_grant(rig: Rig, provider: Provider) -> None:
    for login in ("fake", "rotating"):
        provider.rotates = login == "rotating"
        grant = consent(rig, tokens(60), [], login=login)
        refresh(rig)
        stored = Grants(rig.database).get(grant.id)
        assert stored.version == 2
        assert rig.parts.tokens.open(stored, job="test").subject == SUBJECT


def test_a_refresh_token_that_is_sent_replaces_the_old_one(rig: Rig, provider: Provider) -> None:
    provider.rotates = True
    grant = consent(rig, tokens(60), [], login="rotating")
    refresh(rig)
    stored = Grants(rig.database).get(grant.id)
    opened = rig.parts.tokens.open(stored, job="test")
    assert opened.refresh_token is not None
    assert opened.refresh_token.reveal() == "refresh-1"
    assert stored.asked_at_ms is None


def test_scopes_are_recorded_when_they_are_told(rig: Rig, provider: Provider) -> None:
    grant = consent(rig, tokens(60), [])
    refresh(rig)
    assert Grants(rig.database).get(grant.id).scopes == ["read"]
    provider.scope = "write read"
    consent(rig, tokens(60), [], known=grant)
    refresh(rig)
    assert Grants(rig.database).get(grant.id).scopes == ["read", "write"]


def test_tokens_without_an_end_are_checked_now_and_then(rig: Rig, provider: Provider) -> None:
    grant = consent(rig, tokens(None), [], login="checked")
    refresh(rig)
    assert (provider.calls, _access(rig, grant)) == (1, "access-0")
    assert 70_000_000 < (_wait_ms(rig, grant) or 0) <= 86_400_000


def test_a_refusal_stops_the_job_and_needs_the_owner(rig: Rig, provider: Provider) -> None:
    page, paused, other = (rig.connect("acme", account) for account in ("10", "11", "12"))
    Connections(rig.database).set_status(paused.id, "paused", "by hand")
    grant = consent(rig, tokens(60), [page, paused])
    provider.live = set()
    refresh(rig)
    assert status(rig, page) == ("needs_reauth", "invalid_grant")
    assert status(rig, paused) == ("paused", "by hand")
    assert status(rig, other)[0] == "active"
    assert said(rig) == [("needs_reauth", "invalid_grant")]
    assert Grants(rig.database).get(grant.id).refusal == "invalid_grant"
    assert _wait_ms(rig, grant) is None, "nothing more to do by itself"
    refresh(rig)
    with pytest.raises(Reauthorize, match="invalid_grant"):
        rig.parts.refresher.fresh(grant.id, job="send")
    assert provider.calls == 1


def test_a_new_consent_recovers_the_connections(rig: Rig, provider: Provider) -> None:
    page = rig.connect("acme", "10")
    grant = consent(rig, tokens(60), [page])
    provider.live = set()
    refresh(rig)
    consent(rig, tokens(LIFE_S, name="consented"), [page], known=grant)
    refresh(rig)
    assert status(rig, page) == ("active", "")
    assert [kind for kind, _ in said(rig)] == ["needs_reauth", "recovered"]
    assert (provider.calls, _access(rig, grant)) == (1, "consented")
    assert Grants(rig.database).get(grant.id).version == 2


def test_one_of_several_grants_is_enough(rig: Rig, provider: Provider) -> None:
    page = rig.connect("acme", "10")
    one, two = (consent(rig, tokens(LIFE_S), [page]) for _ in range(2))
    refresh(rig)
    provider.live = set()
    for grant in (one, two):
        assert status(rig, page) == ("active", "")
        consent(rig, tokens(60), [page], known=grant)
        refresh(rig)
        refresh(rig)  # whether what is left is enough, a look tells
    assert status(rig, page) == ("needs_reauth", "invalid_grant")
    consent(rig, tokens(LIFE_S), [page], known=one)
    refresh(rig)
    assert status(rig, page) == ("active", "")
    assert [kind for kind, _ in said(rig)] == ["needs_reauth", "recovered"]


def test_our_own_app_refused_is_nobodys_fault_but_the_operators(
    rig: Rig, provider: Provider
) -> None:
    page = rig.connect("acme", "10")
    grant = consent(rig, tokens(-60), [page])
    provider.status, provider.error = 401, "invalid_client"
    refresh(rig)
    assert (status(rig, page)[0], said(rig)) == ("active", [])
    standing = DueRows(rig.database).standing(REFRESH, grant.id)
    assert standing is not None
    assert (standing.attempts, standing.last_error) == (1, "permanent: invalid_client")
    assert (standing.wait_ms or 0) > 50_000
    count = rig.parts.metrics.registry.get_sample_value
    labels = {"login": "fake", "result": "permanent"}
    assert count("gateway_refreshes_total", labels) == 1
    provider.status = 200
    come_due(rig)
    refresh(rig)
    assert _access(rig, grant) == "access-2"


@pytest.mark.parametrize(("answer", "least_s"), [(503, 5), (429, 120)])
def test_what_passes_is_waited_for(rig: Rig, provider: Provider, answer: int, least_s: int) -> None:
    page = rig.connect("acme", "10")
    grant = consent(rig, tokens(60), [page])
    provider.status = answer
    refresh(rig)
    assert (status(rig, page)[0], said(rig)) == ("active", []), "the token has not ended yet"
    assert (_wait_ms(rig, grant) or 0) > (least_s - 2) * 1000
    assert rig.parts.refresher.fresh(grant.id, job="send", at_least=ENOUGH) is not None
    assert provider.calls == 1, "no caller asks while it is waited for"


def test_a_token_that_has_ended_meanwhile_degrades_and_recovers(
    rig: Rig, provider: Provider
) -> None:
    page = rig.connect("acme", "10")
    grant = consent(rig, tokens(-60), [page])
    provider.status = 503
    for _ in range(2):
        refresh(rig)
        come_due(rig)
    assert status(rig, page)[0] == "degraded"
    assert [kind for kind, _ in said(rig)] == ["degraded"]
    with pytest.raises(Retryable):
        rig.parts.refresher.fresh(grant.id, job="send")
    provider.status = 200
    come_due(rig)
    refresh(rig)
    assert status(rig, page) == ("active", "")
    assert [kind for kind, _ in said(rig)] == ["degraded", "recovered"]


def test_what_is_degraded_for_another_reason_stays_so(rig: Rig) -> None:
    page = rig.connect("acme", "10")
    Connections(rig.database).set_status(
        page.id, "degraded", "scopes: a scope is missing", {"scopes": "a scope is missing"}
    )
    consent(rig, tokens(60), [page])
    refresh(rig)
    assert status(rig, page) == ("degraded", "scopes: a scope is missing")
    assert said(rig) == []


def test_a_login_that_is_off_waits(rig: Rig, provider: Provider) -> None:
    grant = consent(rig, tokens(60), [], login="elsewhere")
    refresh(rig)
    standing = DueRows(rig.database).standing(REFRESH, grant.id)
    assert standing is not None
    assert (standing.attempts, "elsewhere is off" in standing.last_error) == (1, True)


def test_an_erased_tenants_grant_is_over(rig: Rig, provider: Provider) -> None:
    grant = consent(rig, tokens(60), [rig.connect("acme", "10")])
    rig.vault.destroy_tenant("acme")
    Erasing(rig.database).tenant("acme")
    refresh(rig)
    assert DueRows(rig.database).standing(REFRESH, grant.id) is None
    with pytest.raises(KeyDestroyed):
        rig.parts.refresher.fresh(grant.id, job="send")
    assert (provider.calls, said(rig)) == (0, [])


# -- for callers --------------------------------------------------------------------------------


def test_a_caller_gets_tokens_that_last(rig: Rig, provider: Provider) -> None:
    grant = consent(rig, tokens(LIFE_S), [])
    fresh = rig.parts.refresher.fresh
    assert fresh(grant.id, job="send", at_least=ENOUGH).access_token.reveal() == "access-0"
    consent(rig, tokens(60), [], known=grant)
    assert fresh(grant.id, job="send").access_token.reveal() == "access-0"
    assert fresh(grant.id, job="send", at_least=ENOUGH).access_token.reveal() == "access-1"
    assert fresh(grant.id, job="send", at_least=timedelta(days=9)) is not None
    assert provider.calls == 1
    with pytest.raises(NotFound):
        fresh("gra_none", job="send")


def test_openings_are_attributed(rig: Rig, provider: Provider) -> None:
    grant = consent(rig, tokens(60), [])
    for _ in range(3):
        rig.parts.refresher.fresh(grant.id, job="send", at_least=ENOUGH)
    rig.parts.openings.flush()
    found: dict[str, int] = {}
    for row in TokenOpenings(rig.database).of_grants([grant.id]):
        assert row.tenant == "acme"
        found[row.job] = found.get(row.job, 0) + row.times
    assert found == {"refresh": 1, "send": 3}
    count = rig.parts.metrics.registry.get_sample_value
    assert count("gateway_token_openings_total", {"job": "send"}) == 3


def test_a_grant_of_a_token_by_hand_is_opened_and_never_refreshed(rig: Rig) -> None:
    grant = consent(rig, tokens(None), [], login="manual")
    assert rig.parts.refresher.fresh(grant.id, job="send", at_least=ENOUGH) is not None


def test_of_many_threads_one_asks(rig: Rig, provider: Provider) -> None:
    grant = consent(rig, tokens(60), [])
    provider.delay_s = 0.3

    def ask(_: int) -> str:
        return rig.parts.refresher.fresh(
            grant.id, job="send", at_least=ENOUGH
        ).access_token.reveal()

    with ThreadPoolExecutor(10) as threads:
        assert set(threads.map(ask, range(10))) == {"access-1"}
    assert provider.calls == 1


def test_what_the_provider_says_goes_to_the_caller(rig: Rig, provider: Provider) -> None:
    grant = consent(rig, tokens(-1), [rig.connect("acme", "10")])
    fresh = rig.parts.refresher.fresh
    provider.status, provider.error = 401, "invalid_client"
    with pytest.raises(Permanent):
        fresh(grant.id, job="send")
    with pytest.raises(Retryable) as waits:
        fresh(grant.id, job="send")
    assert (waits.value.after_s or 0) > 50
    provider.status, provider.live = 200, set()
    come_due(rig)
    with pytest.raises(Reauthorize):
        fresh(grant.id, job="send")
    assert provider.calls == 2


def test_tokens_that_have_ended_when_they_come_are_no_reason_to_ask_again(
    rig: Rig, provider: Provider
) -> None:
    grant = consent(rig, tokens(30), [])
    provider.life_s = 0
    for calls in (1, 2):
        with pytest.raises(Retryable, match="have ended already") as waits:
            rig.parts.refresher.fresh(grant.id, job="send", at_least=ENOUGH)
        assert provider.calls == calls
    assert (waits.value.after_s or 0) >= 60


def test_tokens_that_do_not_last_are_used_as_they_came(rig: Rig, provider: Provider) -> None:
    """Half of their life is over when they come: asking again would bring no better ones."""
    grant = consent(rig, tokens(-1), [], login="slow")
    provider.life_s = 30
    given = rig.parts.refresher.fresh(grant.id, job="send", at_least=ENOUGH)
    assert (given.access_token.reveal(), provider.calls) == ("access-1", 1)


@pytest.mark.parametrize(("answer", "reason"), [(429, "throttled"), (401, "permanent")])
def test_an_answer_that_says_no_is_no_lost_answer(
    rig: Rig, provider: Provider, answer: int, reason: str
) -> None:
    grant = consent(rig, tokens(60), [], login="rotating")
    provider.status, provider.error = answer, "no"
    refresh(rig)
    standing = DueRows(rig.database).standing(REFRESH, grant.id)
    assert standing is not None
    assert standing.last_error.startswith(reason)
    assert Grants(rig.database).get(grant.id).asked_at_ms is None
    provider.status, provider.live = 200, set()
    come_due(rig)
    refresh(rig)
    assert Grants(rig.database).get(grant.id).refusal == "invalid_grant"


def test_an_answer_that_says_no_does_not_excuse_an_earlier_one_that_was_lost(
    rig: Rig, provider: Provider
) -> None:
    grant = consent(rig, tokens(60), [], login="rotating")
    for answer in (503, 429):
        provider.status = answer
        refresh(rig)
        assert Grants(rig.database).get(grant.id).asked_at_ms is not None
        come_due(rig)
    provider.status, provider.live = 200, set()
    refresh(rig)
    refusal = Grants(rig.database).get(grant.id).refusal
    assert refusal.startswith("an earlier refresh got no answer")


def test_while_nothing_newer_is_to_be_had_what_has_not_ended_has_to_do(
    rig: Rig, provider: Provider
) -> None:
    grant = consent(rig, tokens(60), [])
    off = consent(rig, tokens(60), [], login="elsewhere")
    provider.status, provider.error = 401, "invalid_client"
    for one in (grant, off, grant):
        given = rig.parts.refresher.fresh(one.id, job="send", at_least=ENOUGH)
        assert given.access_token.reveal() == "access-0"
    assert provider.calls == 1


# -- late, lost and killed ----------------------------------------------------------------------


def test_a_late_loser_never_overwrites(rig: Rig, provider: Provider) -> None:
    grant = consent(rig, tokens(60), [])
    provider.delay_s = 1.0
    slow = take(rig, seconds=0)
    with ThreadPoolExecutor(1) as threads:
        late = threads.submit(rig.parts.refresher.run, slow)
        while provider.calls < 1:
            pass
        provider.delay_s = 0.0
        rig.parts.refresher.run(take(rig))
        assert _access(rig, grant) == "access-2"
        with pytest.raises(LeaseLost):
            late.result()
    now = Grants(rig.database).get(grant.id)
    assert (now.version, _access(rig, grant)) == (2, "access-2")


def test_tokens_of_a_new_consent_are_not_overwritten_by_a_refresh_under_way(
    rig: Rig, provider: Provider
) -> None:
    grant = consent(rig, tokens(60), [])
    provider.delay_s = 0.5
    row = take(rig)
    with ThreadPoolExecutor(1) as threads:
        late = threads.submit(rig.parts.refresher.run, row)
        while provider.calls < 1:
            pass
        consent(rig, tokens(LIFE_S, name="consented"), [], known=grant)
        with pytest.raises(LeaseLost):
            late.result()
    assert _access(rig, grant) == "consented"


class Unsteady(DrainStore):
    """A store that is away for a moment, before or after it has committed."""

    def __init__(self, database: Database, *, commits: bool) -> None:
        super().__init__(database)
        self._commits = commits
        self.away = 2

    def write(self, turn: Turn) -> Written:
        if self.away == 0:
            return super().write(turn)
        self.away -= 1
        if self._commits:
            self.away = 0
            super().write(turn)
        raise StoreUnavailable("away")


@pytest.mark.parametrize("commits", [False, True])
def test_an_answer_outlives_a_store_that_is_away(
    rig: Rig, provider: Provider, commits: bool
) -> None:
    provider.rotates = True
    page = rig.connect("acme", "10")
    grant = consent(rig, tokens(60), [page], login="rotating")
    causes = {f"refused:{grant.id}": "before"}
    Connections(rig.database).set_status(page.id, "needs_reauth", "before", causes)
    rig.parts.refresher._store = Unsteady(rig.database, commits=commits)
    refresh(rig)
    assert (provider.calls, Grants(rig.database).get(grant.id).version) == (1, 2)
    assert [kind for kind, _ in said(rig)] == ["recovered"]
    standing = DueRows(rig.database).standing(REFRESH, grant.id)
    assert standing is not None
    assert (standing.taken, standing.attempts) == (False, 0)
