"""The login `meta` (Facebook Login for Business): tokens of Pages end by events, not by time.

So they are checked. Source:
https://developers.facebook.com/docs/graph-api/reference/debug_token.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

import msgspec

from connectors.kit.meta.settings import MetaSettings
from contracts.errors import Misconfigured, Permanent, ProviderError, Reauthorize, Retryable
from contracts.login import Login, Refreshed, Tokens
from contracts.tokens import Secret

if TYPE_CHECKING:
    import httpx

_EVERY: Final = timedelta(days=1)
"""How soon a token that died is noticed although nobody used it."""


class _Error(msgspec.Struct):
    code: int | None = None
    subcode: int | None = None


class _Data(msgspec.Struct):
    is_valid: bool
    app_id: int | str | None = None
    expires_at: Annotated[int, msgspec.Meta(ge=0, le=10_000_000_000)] = 0
    scopes: list[str] | None = None
    error: _Error | None = None


class _Answer(msgspec.Struct):
    data: _Data


class MetaLogin(Login):
    """Checks a token with the app's own, `id|secret`. Needs META_APP_ID."""

    name: ClassVar[str] = "meta"
    rotates: ClassVar[bool] = False

    def __init__(
        self,
        settings: MetaSettings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if settings.app_id is None:
            raise Misconfigured("META_APP_ID is not set")
        self._app_id, self._now = settings.app_id, now
        self._app_token = Secret(f"{settings.app_id}|{settings.app_secret.reveal()}")
        self._url = f"https://graph.facebook.com/{settings.graph_version}/debug_token"

    def due_at(self, tokens: Tokens) -> datetime | None:
        """A day after it was found good, and when it ends by time."""
        check = tokens.obtained_at + _EVERY
        return check if tokens.expires_at is None else min(check, tokens.expires_at)

    def refresh(self, client: httpx.Client, tokens: Tokens) -> Refreshed:
        """See `Login.refresh`: the same token, found good, or why it is not."""
        from connectors.kit.meta.errors import refusal
        from connectors.kit.transport.auth import Bearer
        from connectors.kit.transport.failures import read
        from connectors.kit.transport.usage import APP

        now = self._now()
        asked = {"input_token": tokens.access_token.reveal()}
        app = Bearer(self._app_token, ["graph.facebook.com"])
        response = client.get(self._url, params=asked, auth=app)
        if response.status_code != 200:
            raise _of_the_app(refusal(read(response), APP))
        return self._checked(_data(response.content), tokens, now)

    def _checked(self, data: _Data, tokens: Tokens, now: datetime) -> Refreshed:
        if data.app_id is not None and str(data.app_id) != self._app_id:
            raise Permanent("the token is another app's than META_APP_ID's")
        if not data.is_valid:
            raise _ended(data.error)
        ends = datetime.fromtimestamp(data.expires_at, UTC) if data.expires_at > 0 else None
        good = msgspec.structs.replace(tokens, obtained_at=now, expires_at=ends)
        return Refreshed(good, None if data.scopes is None else frozenset(data.scopes))


def _data(body: bytes) -> _Data:
    try:
        return msgspec.json.decode(body, type=_Answer, strict=False).data
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Retryable("Graph answered with something else than a checked token") from None


def _of_the_app(error: ProviderError) -> ProviderError:
    """What is refused here is the app's own token: no owner of an account can mend that."""
    if isinstance(error, Reauthorize):
        return Permanent(
            f"META_APP_ID or META_APP_SECRET is refused ({error.code})", code=error.code
        )
    return error


def _ended(told: _Error | None) -> ProviderError:
    from connectors.kit.meta.errors import GraphError, verdict

    error = GraphError(190) if told is None else GraphError(told.code, told.subcode)
    meant = verdict(error)
    if meant is not None and meant.kind is Retryable:
        return Retryable(f"debug_token: {error.name}, {meant.words}", code=error.name)
    words = meant.words if meant is not None else "the token is not valid"
    return Reauthorize(f"{error.name}, {words}", code=error.name)
