"""Reading what a browser sends: query and form as plain words, bounded."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from contracts.errors import InvalidInput, TooLarge
from gateway.connect.browsers import Browser, Cookies
from gateway.connect.texts import chosen
from storage.connect_sessions import Session

_FORM_CAP: Final = 64 << 10
_MOST_FIELDS: Final = 2_000

Words = Mapping[str, tuple[str, ...]]


class Visit:
    """One request to the pages: its address, cookies, language, and the form that it brings."""

    def __init__(self, request: Request, cookies: Cookies, form: Words) -> None:
        self.path: Mapping[str, str] = request.path_params
        self.query = words(request.scope["query_string"])
        self.form = form
        self._cookies, self._sent = cookies, request.cookies
        self._accepted = request.headers.get("accept-language", "")

    def browser(self, token: str) -> Browser:
        """This browser, on the way of the link `token`."""
        return self._cookies.browser(self._sent, token)

    def known(self, session_id: str) -> Browser | None:
        """This browser, if it is on the way of that session."""
        return self._cookies.known(self._sent, session_id)

    def tokens(self) -> list[str]:
        """The links that it followed lately."""
        return self._cookies.tokens(self._sent)

    def keep(self, response: Response, browser: Browser) -> None:
        """Have this browser keep the cookie of `browser`."""
        self._cookies.keep(response, browser, self._sent)

    def language(self, session: Session | None = None) -> str:
        """In which language to answer."""
        asked = one(self.form, "lang") or one(self.query, "lang")
        return chosen(asked, session.language if session else "", self._accepted)

    def is_sent_by(self, browser: Browser) -> bool:
        """Whether the form is from a page that `browser` was given."""
        return browser.sent(one(self.form, "proof"))


async def read_form(request: Request) -> Words:
    """The fields of a form. Raises `TooLarge | InvalidInput`."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _FORM_CAP:
                raise TooLarge("a form may have 64 KiB")
    except ClientDisconnect:
        raise InvalidInput("form: ended early") from None
    return words(bytes(body))


def words(encoded: bytes) -> Words:
    """Names and their values in order (`application/x-www-form-urlencoded`). Raises
    `InvalidInput`.
    """
    found: dict[str, list[str]] = {}
    try:
        text = encoded.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:  # too many fields, or bytes that should have been escaped
        raise InvalidInput("form: it cannot be read") from None
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: tuple(values) for name, values in found.items()}


def one(words: Words, name: str) -> str:
    """The value of a name that is there once, else nothing: providers and our pages repeat none."""
    values = words.get(name, ())
    return values[0] if len(values) == 1 else ""
