"""Signatures over raw bodies."""

import hashlib
import hmac
from collections.abc import Sequence

from contracts.connector import Delivery
from contracts.errors import BadSignature
from contracts.tokens import Secret

HUB_HEADER = "x-hub-signature-256"


def check_hub_signature(delivery: Delivery, secrets: Sequence[tuple[str, Secret]]) -> str:
    """The name of the first of `secrets` (name, secret) that signed the raw body.

    `X-Hub-Signature-256: sha256=<lowercase hex>` is the HMAC-SHA256 of the bytes as they came in.
    Source: https://developers.facebook.com/docs/graph-api/webhooks/getting-started.
    Raises `BadSignature`, also when there is no secret.
    """
    given = delivery.headers.get(HUB_HEADER, "").encode("utf-8", "replace")
    if not given:
        raise BadSignature("no X-Hub-Signature-256 header")
    for name, secret in secrets:
        digest = hmac.digest(secret.reveal().encode(), delivery.body, hashlib.sha256)
        if hmac.compare_digest(b"sha256=" + digest.hex().encode(), given):
            return name
    raise BadSignature("X-Hub-Signature-256 does not match")
