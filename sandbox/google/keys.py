"""The key with which the sandbox signs as Google: made by each run, never stored."""

import base64
import hashlib
from functools import cached_property

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.fields import JsonObject


class SigningKey:
    """An RSA key: signs tokens (RS256), and shows its public half as a JSON Web Key."""

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        """Made when it is first needed: that takes a while."""
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @cached_property
    def _public(self) -> dict[str, str]:
        numbers = self._key.public_key().public_numbers()
        n, e = _number(numbers.n), _number(numbers.e)
        return {"n": n, "e": e, "kid": hashlib.sha256(n.encode()).hexdigest()[:40]}

    def sign(self, claims: JsonObject, kind: str = "JWT") -> str:
        """Return a signed token; `kind` is its header's `typ`."""
        headers = {"kid": self._public["kid"], "typ": kind}
        return jwt.encode(claims, self._key, algorithm="RS256", headers=headers)

    def claims(self, token: str, audience: str) -> JsonObject | None:
        """Return the claims of a token of ours for `audience`; None if it is none, or has ended."""
        try:
            claims: JsonObject = jwt.decode(
                token, self._key.public_key(), algorithms=["RS256"], audience=audience
            )
        except jwt.InvalidTokenError:
            return None
        return claims

    def document(self) -> JsonObject:
        """Return the key set, as `/oauth2/v3/certs` has it."""
        return {"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", **self._public}]}


def forged(claims: JsonObject) -> str:
    """Return a token with the same claims that somebody else signed."""
    return SigningKey().sign(claims, "secevent+jwt")


def _number(value: int) -> str:
    size = (value.bit_length() + 7) // 8
    return base64.urlsafe_b64encode(value.to_bytes(size, "big")).rstrip(b"=").decode("ascii")
