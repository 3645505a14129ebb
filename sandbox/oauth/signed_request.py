"""Meta's `signed_request`: how deauthorization and data deletion are told.

Source: Meta, "Data deletion request callback". Both parts are base64url without padding; the
signature is made over the encoded payload.
"""

import base64
import hashlib
import hmac
import json
import time
from urllib.parse import urlencode


def signed_request(secret: str, user_id: str, issued_at: int | None = None) -> str:
    """Return `signature.payload` for a person, by the id that is scoped to the app."""
    at = int(time.time()) if issued_at is None else issued_at
    claims = {"algorithm": "HMAC-SHA256", "issued_at": at, "user_id": user_id}
    payload = _base64url(json.dumps(claims, separators=(",", ":")).encode())
    signature = hmac.new(secret.encode(), payload.encode(), hashlib.sha256).digest()
    return f"{_base64url(signature)}.{payload}"


def form(secret: str, user_id: str) -> str:
    """Return the body of the POST: `signed_request=…`."""
    return urlencode({"signed_request": signed_request(secret, user_id)})


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
