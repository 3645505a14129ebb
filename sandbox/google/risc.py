"""Security events of Google's Cross-Account Protection: signed, and posted to the app.

Source: Google Identity, "Protect user accounts with Cross-Account Protection" (RISC), and
RFC 8417. A security event token has no `exp`.
"""

import base64
import hashlib
import secrets
import time

from sandbox.fields import BadField, Fields, JsonObject, present
from sandbox.google.api import RISC_ISSUER
from sandbox.google.keys import forged
from sandbox.google.people import Person
from sandbox.google.state import Google
from sandbox.oauth.callbacks import Callback, Callbacks

SCHEMAS = "https://schemas.openid.net/secevent/"
EVENTS = {
    "sessions-revoked": f"{SCHEMAS}risc/event-type/sessions-revoked",
    "tokens-revoked": f"{SCHEMAS}oauth/event-type/tokens-revoked",
    "token-revoked": f"{SCHEMAS}oauth/event-type/token-revoked",
    "account-disabled": f"{SCHEMAS}risc/event-type/account-disabled",
    "account-enabled": f"{SCHEMAS}risc/event-type/account-enabled",
    "account-credential-change-required": (
        f"{SCHEMAS}risc/event-type/account-credential-change-required"
    ),
    "verification": f"{SCHEMAS}risc/event-type/verification",
}
CONTENT_TYPE = "application/secevent+jwt"


class SecurityEvents:
    """Says to the app what happened to an account."""

    def __init__(self, google: Google, callbacks: Callbacks, url: str) -> None:
        self._google, self._callbacks, self._url = google, callbacks, url

    async def tell(self, person: Person, fields: Fields) -> Callback:
        """Send `{event, reason?, token?, alg?, subject?, state?, jti?, forge?}`.

        Raises `BadField`.
        """
        name = fields.choice("event", tuple(EVENTS), "")
        event = _event(name, person, fields)
        claims: JsonObject = {
            "iss": RISC_ISSUER,
            "aud": self._google.app.id,
            "iat": int(time.time()),
            "jti": fields.text("jti", secrets.token_hex(16)),
            "events": {EVENTS[name]: event},
        }
        forge = fields.flag("forge")
        fields.finish()
        token = forged(claims) if forge else self._google.key.sign(claims, "secevent+jwt")
        return await self._callbacks.post("risc", self._url, token, CONTENT_TYPE)

    async def tokens_revoked(self, person: Person) -> Callback:
        """Say that the person withdrew everything."""
        return await self.tell(person, Fields({"event": "tokens-revoked"}))


def _event(name: str, person: Person, fields: Fields) -> JsonObject:
    if name == "verification":
        return {"state": fields.text("state", "sandbox")}
    if name == "token-revoked":
        return {"subject": _token_subject(fields)}
    subject: JsonObject = {"subject_type": "iss-sub", "iss": RISC_ISSUER, "sub": person.sub}
    if fields.choice("subject", ("iss-sub", "id_token_claims")) == "id_token_claims":
        subject |= {"subject_type": "id_token_claims", "email": person.email}
    return {"subject": subject, **present(reason=fields.optional_text("reason"))}


def _token_subject(fields: Fields) -> JsonObject:
    """The refresh token that ended, by its first 16 characters or by a hash of a hash."""
    value = fields.text("token")
    alg = fields.choice("alg", ("prefix", "hash_base64_sha512_sha512"))
    if len(value) < 16:
        raise BadField("token must be a refresh token")
    twice = hashlib.sha512(hashlib.sha512(value.encode()).digest()).digest()
    identifier = value[:16] if alg == "prefix" else base64.b64encode(twice).decode("ascii")
    return {
        "subject_type": "oauth_token",
        "token_type": "refresh_token",
        "token_identifier_alg": alg,
        "token": identifier,
    }
