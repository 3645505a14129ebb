"""The browser in which somebody connects: known by a cookie of its own for each session.

The cookie holds a secret and the link's token, so that the provider's answer, which names only the
state, finds its way back; the database has the secret's hash. It comes back from another site by a
plain navigation, hence SameSite=Lax, and with any path, hence `__Host-`: no neighbouring host can
plant one. See ADR 29.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Final, NamedTuple

from starlette.responses import Response

_LIFE_S: Final = 3600
_MOST: Final = 8
"""So many links a browser may be following at once: each cookie goes with every request, and a
header that has grown too long would be refused."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")


def new_token() -> str:
    """256 random bits, as text that fits a URL and a cookie."""
    return secrets.token_urlsafe(32)


def is_token(text: str) -> bool:
    """Whether `text` may be a token of ours."""
    return _TOKEN.fullmatch(text) is not None


def digest(token: str) -> bytes:
    """SHA-256: what is stored of a token."""
    return hashlib.sha256(token.encode()).digest()


class Browser(NamedTuple):
    """A browser on the way of one link; `id` is the hash of the link's token, in hex."""

    id: str
    token: str
    secret: str
    fresh: bool
    """Whether it gets its cookie with this answer."""

    @property
    def hash(self) -> bytes:
        """What the session keeps of it."""
        return digest(self.secret)

    @property
    def proof(self) -> str:
        """What its forms carry: nobody makes it who cannot read the cookie."""
        return hmac.new(self.secret.encode(), self.id.encode(), hashlib.sha256).hexdigest()

    def sent(self, proof: str) -> bool:
        """Whether a form with `proof` is from a page that this browser was given."""
        told = not self.fresh and proof.isascii()
        return told and hmac.compare_digest(self.proof.encode(), proof.encode())


class Cookies:
    """Makes and reads the cookies; `secure` unless we are on plain http on this machine."""

    def __init__(self, *, secure: bool) -> None:
        self._secure = secure
        self._prefix = "__Host-connect-" if secure else "connect-"

    def browser(self, cookies: Mapping[str, str], token: str) -> Browser:
        """The browser that follows the link of `token`."""
        id_ = digest(token).hex()
        return self.known(cookies, id_) or Browser(id_, token, new_token(), fresh=True)

    def known(self, cookies: Mapping[str, str], id: str) -> Browser | None:  # noqa: A002
        """The browser if it followed the link of the session `id`."""
        secret, _, token = cookies.get(self._name(id), "").partition(".")
        if not is_token(secret) or digest(token).hex() != id:
            return None
        return Browser(id, token, secret, fresh=False)

    def tokens(self, cookies: Mapping[str, str]) -> list[str]:
        """The links that this browser followed lately."""
        pairs = (text.partition(".") for n, text in cookies.items() if n.startswith(self._prefix))
        return sorted(token for secret, _, token in pairs if is_token(secret) and is_token(token))

    def keep(self, response: Response, browser: Browser, sent: Mapping[str, str]) -> None:
        """Have the browser keep its cookie, and of those that it has `sent` the newest: they come
        in the order in which they were set (RFC 6265 §5.4).
        """
        own = self._name(browser.id)
        others = [name for name in sent if name.startswith(self._prefix) and name != own]
        for name in others[: max(0, len(others) + 1 - _MOST)]:
            response.delete_cookie(
                name, path="/", secure=self._secure, httponly=True, samesite="lax"
            )
        response.set_cookie(
            own,
            f"{browser.secret}.{browser.token}",
            max_age=_LIFE_S,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def _name(self, id: str) -> str:  # noqa: A002
        return f"{self._prefix}{id[:16]}"
