"""The login `instagram`: one token that lives for 60 days and is exchanged for a younger one.

Source: https://developers.facebook.com/docs/instagram-platform/reference/refresh_access_token.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

import msgspec

from connectors.kit.instagram.settings import InstagramSettings
from contracts.errors import Reauthorize, Retryable
from contracts.login import Login, Refreshed, Tokens
from contracts.tokens import Secret

if TYPE_CHECKING:
    import httpx

REFRESH_URL: Final = "https://graph.instagram.com/refresh_access_token"

_YOUNGEST: Final = timedelta(hours=24)
"""A token younger than that is not exchanged."""


class _Answer(msgspec.Struct):
    access_token: str
    expires_in: Annotated[int, msgspec.Meta(gt=0, le=1_000_000_000)]
    permissions: str | None = None


class InstagramLogin(Login):
    """The token that is exchanged stays valid, so an answer that is lost is asked for again."""

    name: ClassVar[str] = "instagram"
    rotates: ClassVar[bool] = False

    def __init__(
        self,
        settings: InstagramSettings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings, self._now = settings, now

    def due_at(self, tokens: Tokens) -> datetime | None:
        """At half its life, and not before it is 24 hours old."""
        youngest = tokens.obtained_at + _YOUNGEST
        if tokens.expires_at is None:  # given by hand: the first exchange tells when it ends
            return youngest
        half = tokens.obtained_at + (tokens.expires_at - tokens.obtained_at) / 2
        return max(youngest, half)

    def refresh(self, client: httpx.Client, tokens: Tokens) -> Refreshed:
        """See `Login.refresh`. A token that has ended is not sent: only its owner can mend that."""
        from connectors.kit.meta.errors import refusal
        from connectors.kit.transport.failures import read
        from connectors.kit.transport.usage import APP

        now = self._now()
        if tokens.expires_at is not None and tokens.expires_at <= now:
            raise Reauthorize("the token has expired", code="expired")
        if now < (youngest := tokens.obtained_at + _YOUNGEST):
            after_s = (youngest - now).total_seconds()
            raise Retryable("the token is younger than 24 hours", after_s=after_s)
        token = tokens.access_token.reveal()
        asked = {"grant_type": "ig_refresh_token", "access_token": token}
        response = client.get(REFRESH_URL, params=asked)
        if response.status_code != 200:
            raise refusal(read(response), APP)
        return _refreshed(response.content, now)


def _refreshed(body: bytes, now: datetime) -> Refreshed:
    try:
        answer = msgspec.json.decode(body, type=_Answer, strict=False)
        access = Secret(answer.access_token)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError):
        raise Retryable("Instagram answered with something else than a token") from None
    ends = now + timedelta(seconds=answer.expires_in)
    scopes = None if answer.permissions is None else _names(answer.permissions)
    return Refreshed(Tokens(access_token=access, obtained_at=now, expires_at=ends), scopes)


def _names(permissions: str) -> frozenset[str]:
    return frozenset(name.strip() for name in permissions.split(",") if name.strip())
