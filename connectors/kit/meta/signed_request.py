"""Meta's signed requests: what it posts when somebody removes the app, or wants data deleted.

Source: https://developers.facebook.com/docs/development/create-an-app/app-dashboard/data-deletion-callback.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec

from contracts.errors import BadSignature, InvalidInput
from contracts.signals import Told
from contracts.tokens import Secret

_LONGEST: Final = 16 << 10
_NOBODY: Final = ("", "0")
"""User ids of a removal that names no user: an app was taken from a Page."""


class _Payload(msgspec.Struct):
    algorithm: str
    issued_at: Annotated[int, msgspec.Meta(ge=0, le=10_000_000_000)]
    user_id: str | int = ""


class SignedRequests:
    """Reads them, whichever of the apps signed: each login has its secrets, tried in order."""

    def __init__(self, secrets: Mapping[str, Sequence[Secret]]) -> None:
        self._secrets = secrets

    @property
    def is_on(self) -> bool:
        """Whether there is any app that could sign."""
        return bool(self._secrets)

    def read(self, signed: str, kind: str) -> Told:
        """What `signed` tells. Raises `BadSignature`, and `InvalidInput` for what no app makes."""
        encoded, dot, payload = signed.partition(".")
        if not dot or len(signed) > _LONGEST or not signed.isascii():
            raise InvalidInput("signed_request: it is none")
        login = self._signer(_unpadded(encoded), payload.encode())
        found = _payload(payload)
        user = str(found.user_id)
        return Told(
            login=login,
            kind=kind,
            names=() if user in _NOBODY else (("user", user),),
            once=f"{kind}.{payload}",
            at=datetime.fromtimestamp(found.issued_at, UTC),
        )

    def _signer(self, signature: bytes, payload: bytes) -> str:
        """The login whose secret signed: HMAC-SHA256 over the payload as it is encoded."""
        for login, secrets in self._secrets.items():
            for secret in secrets:
                right = hmac.digest(secret.reveal().encode(), payload, hashlib.sha256)
                if hmac.compare_digest(right, signature):
                    return login
        raise BadSignature("signed_request: no app of ours signed it")


def _payload(encoded: str) -> _Payload:
    try:
        found = msgspec.json.decode(_unpadded(encoded), type=_Payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise InvalidInput("signed_request: its payload cannot be read") from None
    if found.algorithm.upper() != "HMAC-SHA256":
        raise InvalidInput("signed_request: another algorithm than HMAC-SHA256")
    return found


def _unpadded(text: str) -> bytes:
    """Base64url without padding (RFC 4648 §5). Raises `InvalidInput`."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput("signed_request: it is not base64url") from None
