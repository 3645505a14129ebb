"""When tokens are due to be refreshed, and whether they last."""

import random
from datetime import UTC, datetime, timedelta
from typing import Final

from contracts.login import Login, Tokens
from storage.connections import Grant
from storage.database import now_ms

SPREAD: Final = 0.1
"""Tokens may be refreshed within this last part of the time until they are due."""
SHORTEST_S: Final = 60.0
"""No grant is refreshed by itself more often, whatever a provider says of its tokens."""


def next_due_ms(login: Login, tokens: Tokens) -> int | None:
    """When a grant's row is due: a time at random within the spread, so that grants made together
    do not stay together.
    """
    due = login.due_at(tokens)
    if due is None:
        return None
    first = _first_time(tokens, due)
    at = first + (due - first) * random.random()  # noqa: S311 - spread, not secrecy
    return max(_ms(at), now_ms() + int(SHORTEST_S * 1000))


def lifetime_ms(tokens: Tokens) -> tuple[int, int | None]:
    """When `tokens` were obtained and when they end, in Unix milliseconds."""
    ends = tokens.expires_at
    return _ms(tokens.obtained_at), None if ends is None else _ms(ends)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def is_due(login: Login, _: Grant, tokens: Tokens) -> bool:
    due = login.due_at(tokens)
    return due is not None and _first_time(tokens, due) <= datetime.now(UTC)


def _first_time(tokens: Tokens, due: datetime) -> datetime:
    return due - (due - tokens.obtained_at) * SPREAD


def lasts(grant: Grant, at_least: timedelta) -> bool:
    """Whether the tokens do not end within `at_least`, or within half of their life."""
    if grant.expires_at_ms is None:
        return True
    life_ms = grant.expires_at_ms - (grant.obtained_at_ms or grant.created_at_ms)
    needed_ms = min(at_least / timedelta(milliseconds=1), life_ms / 2)
    return grant.expires_at_ms - now_ms() > max(0, needed_ms)
