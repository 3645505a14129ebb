"""An app as the providers' developer consoles have it."""

import hashlib
import hmac
from dataclasses import dataclass, field

NAME = "CleverBox Gateway"


@dataclass(frozen=True)
class App:
    """Id, secret, and the redirect addresses that are registered for it.

    An app without id or secret does not exist: nobody can log in to it.
    """

    id: str = ""
    secret: str = field(default="", repr=False)
    redirect_uris: tuple[str, ...] = ()

    @property
    def exists(self) -> bool:
        """Whether it was set up."""
        return bool(self.id and self.secret)

    def is_called(self, app_id: str | None) -> bool:
        """Whether `app_id` is this app's."""
        return self.exists and app_id == self.id

    def has_secret(self, secret: str | None) -> bool:
        """Whether `secret` is this app's."""
        given = (secret or "").encode()
        return self.exists and hmac.compare_digest(given, self.secret.encode())

    def proves(self, token: str, proof: str) -> bool:
        """Whether `proof` is Meta's `appsecret_proof` of a token (Graph, "Secure requests")."""
        expected = hmac.new(self.secret.encode(), token.encode(), hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected.encode(), proof.encode())
