"""Google's security events (RISC, Cross-Account Protection): signed tokens that tell of an account.

Source: https://developers.google.com/identity/protocols/risc. Tokens: RFC 8417.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from contracts.errors import BadSignature, InvalidInput
from contracts.signals import Told

LOGIN: Final = "google"
CONFIGURATION: Final = "https://accounts.google.com/.well-known/risc-configuration"
ISSUER: Final = "https://accounts.google.com/"
"""With the slash at its end, which ID tokens do not have."""

_RISC: Final = "https://schemas.openid.net/secevent/risc/event-type/"
_OAUTH: Final = "https://schemas.openid.net/secevent/oauth/event-type/"
_ACCOUNT: Final = "account"
_TOKEN: Final = "token"  # noqa: S105 - a word

EVENTS: Final[Mapping[str, tuple[str, str]]] = {
    f"{_RISC}sessions-revoked": ("sessions-revoked", _ACCOUNT),
    f"{_OAUTH}tokens-revoked": ("tokens-revoked", _ACCOUNT),
    f"{_RISC}tokens-revoked": ("tokens-revoked", _ACCOUNT),  # as some senders write it
    f"{_OAUTH}token-revoked": ("token-revoked", _TOKEN),
    f"{_RISC}account-disabled": ("account-disabled", _ACCOUNT),
    f"{_RISC}account-enabled": ("account-enabled", _ACCOUNT),
    f"{_RISC}account-credential-change-required": ("credential-change-required", _ACCOUNT),
    f"{_RISC}verification": ("verification", ""),
}
"""Event type → our name of it, and what its subject names."""

_ALGORITHMS: Final = {"prefix": "token-prefix", "hash_base64_sha512_sha512": "token-hash"}
_REASONS: Final = ("hijacking", "bulk-account")
_OLDEST: Final = timedelta(days=180)
_LONGEST: Final = 16 << 10

KeyOf = Callable[[str], Any]
"""The public key of a key id, as PyJWT takes it. Raises `BadSignature` for one that Google does not
have, `Unavailable` when Google cannot be asked."""


class SecurityEvents:
    """Reads the tokens that are meant for one of our OAuth clients."""

    def __init__(
        self,
        clients: Collection[str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._clients, self._now = list(clients), now

    def read(self, token: bytes, key_of: KeyOf) -> list[Told]:
        """What the token tells; nothing for events that we do not know.

        Raises `BadSignature` (another signer, issuer or audience), `InvalidInput`, and what
        `key_of` raises.
        """
        claims = self._claims(token, key_of)
        events, jti = claims["events"], claims["jti"]
        at = datetime.fromtimestamp(claims["iat"], UTC)
        if at < self._now() - _OLDEST:
            raise InvalidInput("security event: older than half a year")
        if not isinstance(events, dict) or not isinstance(jti, str):
            raise InvalidInput("security event: its claims are not in their form")
        known = ((EVENTS[kind], event) for kind, event in events.items() if kind in EVENTS)
        return [
            Told(LOGIN, kind, _names(names, event), f"{jti}.{kind}", at, _detail(event))
            for (kind, names), event in known
        ]

    def _claims(self, token: bytes, key_of: KeyOf) -> dict[str, Any]:
        import jwt

        if len(token) > _LONGEST:
            raise InvalidInput("security event: too long")
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            if not isinstance(kid, str):
                raise InvalidInput("security event: it names no key")
            claims: dict[str, Any] = jwt.decode(
                token,
                key_of(kid),
                algorithms=["RS256"],
                audience=self._clients,
                issuer=ISSUER,
                leeway=300,
                options={"require": ["iss", "aud", "iat", "jti", "events"], "verify_exp": False},
            )
        except jwt.DecodeError as error:
            bad = isinstance(error, jwt.InvalidSignatureError)
            told = BadSignature if bad else InvalidInput
            raise told(f"security event: {type(error).__name__}") from None
        except jwt.InvalidTokenError as error:
            raise BadSignature(f"security event: {type(error).__name__}") from None
        return claims


def _names(names: str, event: Any) -> tuple[tuple[str, str], ...]:
    """Whom an event is about. Raises `InvalidInput`."""
    if not names:
        return ()
    subject = event.get("subject") if isinstance(event, dict) else None
    if not isinstance(subject, dict):
        raise InvalidInput("security event: it has no subject")
    if names == _TOKEN:
        kind = _ALGORITHMS.get(str(subject.get("token_identifier_alg")))
        token = subject.get("token")
        if kind is None or not isinstance(token, str) or not token:
            raise InvalidInput("security event: its subject is no token")
        return ((kind, token),)
    sub = subject.get("sub")
    if not isinstance(sub, str) or not sub:
        raise InvalidInput("security event: its subject is no account")
    return (("user", sub),)


def _detail(event: Any) -> str:
    """The reason, where it is one that is documented."""
    reason = event.get("reason") if isinstance(event, dict) else None
    return str(reason) if reason in _REASONS else ""
