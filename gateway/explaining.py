"""How a connection is, in sentences for people: what is so, and what to do about it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from contracts.causes import (
    LOOKED_AFTER,
    PAUSED,
    REFUSED,
    REGISTRATION,
    SCOPES,
    SILENCE,
    SUBSCRIPTION,
    TOKEN,
    Causes,
    kinds,
    words,
)
from contracts.messages import timestamp
from storage.activity import Activity
from storage.connections import Connection, Grant
from storage.due import Standing
from storage.inspections import Subscription
from storage.pausing import RESUMING, Pause, Waits


class Sentence(NamedTuple):
    """`says` what is so, `do` what to do about it; empty where there is nothing to do."""

    says: str
    do: str = ""


class Rest(NamedTuple):
    """Calls rest until then: of the account, or `of_app` with all its tenants."""

    until_ms: int
    of_app: bool
    why: str


class Facts(NamedTuple):
    """What is known of a connection. `looks`: how its `reconcile` row stands, `refreshes`: how
    those of its grants do. `accepted`: the version of the policy that its owner accepted (None:
    nobody was asked), `policy` today's. `off`: the setting without which its provider is off.
    `pause`: while it is paused; `waits`: what waits then, `resumes`: how the job stands that goes
    on with it, and `kept_days`: how long anything can wait.
    """

    connection: Connection
    grants: Sequence[Grant] = ()
    subscription: Subscription | None = None
    activity: Activity | None = None
    looks: Standing | None = None
    refreshes: Mapping[str, Standing] = {}
    accepted: str | None = None
    policy: str = ""
    off: str | None = None
    reconnect_url: str = ""
    now_ms: int = 0
    rests: Sequence[Rest] = ()
    pause: Pause | None = None
    waits: Waits = Waits(0, None)
    resumes: Standing | None = None
    kept_days: int = 0


def explain(facts: Facts) -> list[Sentence]:
    """The status first, then what is wrong, the worst first, then what else is worth knowing."""
    told = [_status(facts), *_waiting(facts), *_causes(facts), *_provider(facts)]
    if facts.connection.status in ("revoking", "revoked"):  # what it had is gone, or others'
        return told
    return [*told, *_limits(facts), *_failures(facts), *_rest(facts)]


def short(connection: Connection) -> str:
    """What is wrong in a few words, for a table."""
    found = [_SHORT[kind] for kind in kinds(_standing(connection))]
    return ", ".join(found) or connection.status_reason


def _standing(connection: Connection) -> Causes:
    """What is wrong with it, unless it was ended: then that says it all."""
    return connection.causes if connection.status in LOOKED_AFTER else {}


_SHORT: Final = {
    REFUSED: "consent refused",
    TOKEN: "token ended",
    SCOPES: "scopes missing",
    REGISTRATION: "not registered",
    SUBSCRIPTION: "not subscribed",
    SILENCE: "silent",
}

_STATUS: Final = {
    "pending": Sentence("It is being set up: it is not subscribed at the provider yet."),
    "active": Sentence("It works."),
    "degraded": Sentence("It works in part."),
    "needs_reauth": Sentence("It does not work until its owner connects it again."),
    "paused": Sentence("It was paused: what comes in waits.", "Resume it when it should go on."),
    "revoking": Sentence("It is being ended: nothing is received any more."),
    "revoked": Sentence(
        "It has ended, and its tokens are destroyed.", "Its owner may connect it again."
    ),
}


def _status(facts: Facts) -> Sentence:
    connection = facts.connection
    known = _STATUS.get(connection.status, Sentence(f"It is {connection.status}."))
    ordered = connection.status in (PAUSED, "revoking", "revoked")
    if ordered and connection.status_reason:
        return known._replace(says=f"{known.says} The reason given: {connection.status_reason}.")
    return known


def _waiting(facts: Facts) -> list[Sentence]:
    """What a pause holds back, and for how long it can."""
    if facts.connection.status != PAUSED:
        return []
    found = []
    if facts.pause is not None and facts.pause.state == RESUMING:
        found.append(Sentence("It is being resumed: what waited is being put into the feed."))
        if facts.resumes and facts.resumes.attempts:
            found.append(_failed("attempt to resume it", facts, facts.resumes))
    items, oldest_ms = facts.waits
    if oldest_ms is not None:
        ends = _at((oldest_ms // _DAY_MS + facts.kept_days) * _DAY_MS)
        says = "1 delivery waits; it" if items == 1 else f"{items} deliveries wait; the oldest"
        kept = f"came in at {_at(oldest_ms)} and is given up, as a gap, after {ends}"
        found.append(Sentence(f"{says} {kept}."))
    return found


_DAY_MS: Final = 86_400_000

_SUBSCRIBED_DAILY: Final = (
    "See whether the provider's app still has our webhook, and may receive. The account is "
    "subscribed anew every day;"
)
_REGISTERED_DAILY: Final = (
    "See at the provider what keeps it from being registered: another PIN, or another provider "
    "that has it. It is tried again every day;"
)
_WRITE: Final = (
    "Write something to the account. If it does not arrive, see at the provider whether another "
    "app has taken over its messages."
)


def _causes(facts: Facts) -> list[Sentence]:
    again = f"Have its owner connect again: {facts.reconnect_url}"
    now = f"gateway connections resync {facts.connection.id} does so now."
    register, subscribe = f"{_REGISTERED_DAILY} {now}", f"{_SUBSCRIBED_DAILY} {now}"
    what = {
        REFUSED: ("The provider takes its owner's consent no more: {}.", again),
        TOKEN: ("Its token has ended, and there is no newer one: {}.", _again_at(facts)),
        SCOPES: ("Not everything that was chosen is allowed: {}.", again),
        REGISTRATION: ("It cannot be registered: {}.", register),
        SUBSCRIPTION: ("The provider does not deliver what it should: {}.", subscribe),
        SILENCE: ("It is unusually silent, although nothing else is wrong: {}.", _WRITE),
    }
    causes = _standing(facts.connection)
    return [
        Sentence(what[kind][0].format(text), what[kind][1])
        for kind in kinds(causes)
        for text in words(causes, kind)
    ]


def _again_at(facts: Facts) -> str:
    waits = [row for row in facts.refreshes.values() if row.wait_ms is not None]
    if not waits:
        return "It is tried again by itself."
    return f"It is tried again at {_in(facts, min(row.wait_ms or 0 for row in waits))}."


def _provider(facts: Facts) -> list[Sentence]:
    if facts.off is None:
        return []
    return [Sentence("Its provider is off, so that it does nothing.", f"Set {facts.off}.")]


_WHY: Final = {
    "usage": "the limit of {} is nearly used up",
    "refused": "the provider refuses more calls of {}",
}


def _limits(facts: Facts) -> list[Sentence]:
    """Until when nothing is called, since that would be refused and make it worse."""
    found: list[Sentence] = []
    for rest in facts.rests:
        whose = "our whole app" if rest.of_app else "this account"
        why = _WHY[rest.why].format(whose)
        says = f"Calls to the provider rest until {_at(rest.until_ms)}: {why}."
        found.append(Sentence(says, "It goes on by itself; what is received arrives meanwhile."))
    return found


def _failures(facts: Facts) -> list[Sentence]:
    """What was tried and did not succeed: the last look at it, and the last refreshes."""
    found: list[Sentence] = []
    if facts.looks and facts.looks.attempts:
        found.append(_failed("look at it", facts, facts.looks))
    failing = (row for row in facts.refreshes.values() if row.attempts)
    return found + [_failed("refresh of its token", facts, row) for row in failing]


def _failed(what: str, facts: Facts, row: Standing) -> Sentence:
    says = f"The last {what} failed: {row.last_error}."
    if row.wait_ms is None:
        return Sentence(says)
    operators = ("permanent", "misconfigured", "unexpected", "tampered", "unknown-key")
    mend = "An operator has to mend that; it" if row.last_error.startswith(operators) else "It"
    return Sentence(says, f"{mend} is tried again at {_in(facts, row.wait_ms)}.")


def _rest(facts: Facts) -> list[Sentence]:
    return [*_grants(facts), *_subscribed(facts), _heard(facts), *_policy(facts)]


def _grants(facts: Facts) -> list[Sentence]:
    if not facts.grants:
        return [Sentence("It has no token: it receives, but cannot call the provider.")]
    found = [
        Sentence(f"One of its owners' consents works no more: {reason}. Others carry it.")
        for reason in _refused_beside(facts)
    ]
    declined = sorted({scope for grant in facts.grants for scope in grant.declined})
    if declined:
        found.append(Sentence(f"Its owner did not grant {', '.join(declined)}."))
    ends = [g.expires_at_ms for g in facts.grants if g.expires_at_ms and not g.refusal]
    if ends and min(ends) > facts.now_ms:
        found.append(Sentence(f"Its token is good until {_at(min(ends))}, and renewed before."))
    return found


def _refused_beside(facts: Facts) -> list[str]:
    """Why grants were refused, where another one carries the connection: else that is a cause."""
    refusals = [grant.refusal for grant in facts.grants if grant.refusal]
    return refusals if len(refusals) < len(facts.grants) else []


def _subscribed(facts: Facts) -> list[Sentence]:
    found = facts.subscription
    if found is None or found.state != "on" or not found.checked_at_ms:
        return []
    return [Sentence(f"Its subscription was found whole at {_at(found.checked_at_ms)}.")]


def _heard(facts: Facts) -> Sentence:
    if facts.activity is None:
        return Sentence("Nothing was ever received for it.")
    return Sentence(f"Something was last received for it at {_at(facts.activity.last_at_ms)}.")


def _policy(facts: Facts) -> list[Sentence]:
    if facts.accepted is None or not facts.policy or facts.accepted == facts.policy:
        return []
    accepted = f"version {facts.accepted}" if facts.accepted else "no version"
    says = f"Its owner accepted {accepted} of the privacy policy; today's is {facts.policy}."
    return [Sentence(says)]


def _in(facts: Facts, wait_ms: int) -> str:
    return _at(facts.now_ms + max(0, wait_ms))


def _at(unix_ms: int) -> str:
    return timestamp(datetime.fromtimestamp(unix_ms / 1000, UTC))
