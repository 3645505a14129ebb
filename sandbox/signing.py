"""How Meta writes a webhook body, and how it signs one."""

import hashlib
import hmac
import json
import secrets
from typing import Literal

Signature = Literal["valid", "forged", "none"]

SIGNATURE_HEADER = "X-Hub-Signature-256"


def encode(document: object) -> bytes:
    r"""Return the bytes that Meta would send: compact JSON, ASCII only, `/` escaped as `\/`.

    Everything beyond ASCII travels as `\u` escapes in lower case, and the signature is made over
    that form (Messenger Platform, "Webhooks"). A slash occurs in JSON only inside strings.
    """
    compact = json.dumps(document, ensure_ascii=True, separators=(",", ":"))
    return compact.replace("/", "\\/").encode("ascii")


def sign(secret: str, body: bytes) -> str:
    """Return the header value `sha256=<64 lower-case hex digits>` over the raw body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def signature_headers(signature: Signature, secret: str, body: bytes) -> dict[str, str]:
    """Return the signature header: true, made with a secret nobody shares, or none at all."""
    if signature == "none":
        return {}
    key = secret if signature == "valid" else secrets.token_hex(16)
    return {SIGNATURE_HEADER: sign(key, body)}
