"""How Meta and Google tell of consents: signed requests and security events."""

import base64
import hashlib
import hmac
import json
import secrets
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from connectors.kit.google.security_events import CONFIGURATION, ISSUER
from contracts.errors import Retryable
from tests.rig import APP_SECRET

INSTAGRAM_SECRET: Final = "instagram's own"
CLIENT: Final = "123-x.apps.googleusercontent.com"
JWKS: Final = "https://www.googleapis.com/oauth2/v3/certs"
KEY: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)
TOKENS_REVOKED: Final = "https://schemas.openid.net/secevent/oauth/event-type/tokens-revoked"


def signed_request(secret: str = APP_SECRET, **changed: Any) -> str:
    """As an app of ours makes it."""
    now = int(datetime.now(UTC).timestamp())
    payload = {"algorithm": "HMAC-SHA256", "issued_at": now, "user_id": "42", **changed}
    encoded = _b64(json.dumps(payload).encode())
    return f"{_b64(hmac.digest(secret.encode(), encoded.encode(), hashlib.sha256))}.{encoded}"


def form(signed: str) -> dict[str, Any]:
    """What is posted."""
    return {
        "content": urlencode({"signed_request": signed}).encode(),
        "headers": {"content-type": "application/x-www-form-urlencoded"},
    }


def event(kid: str = "known", key: Any = KEY, **changed: Any) -> bytes:
    """A security event of Google's."""
    subject = {"subject_type": "iss-sub", "iss": ISSUER, "sub": "1089"}
    claims = {
        "iss": ISSUER,
        "aud": CLIENT,
        "iat": int(datetime.now(UTC).timestamp()),
        "jti": secrets.token_hex(8),
        "events": {TOKENS_REVOKED: {"subject": subject}},
        **changed,
    }
    return jwt.encode(claims, key, "RS256", headers={"kid": kid}).encode()


class Google:
    """Serves its keys; `away`: it does not answer. `asked` are the addresses that were."""

    def __init__(self) -> None:
        self.away = False
        self.asked: list[str] = []

    def client(self) -> httpx.Client:
        """A client that reaches nothing else."""
        return httpx.Client(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        if self.away:
            raise Retryable("Google is away")
        if str(request.url) == CONFIGURATION:
            return httpx.Response(200, json={"issuer": ISSUER, "jwks_uri": JWKS})
        public = jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
        known = {**public, "kid": "known", "use": "sig", "alg": "RS256"}
        return httpx.Response(200, json={"keys": [known]})


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
