"""Somebody with a browser, as far as HTTP goes: cookies, forms, links; redirects only when told."""

import html
import re
from urllib.parse import urlencode, urlsplit

import httpx

from tests.forms import Field, Forms


class Person:
    """One browser; `page` is what it shows."""

    def __init__(self, transport: httpx.AsyncBaseTransport, language: str = "en") -> None:
        self.http = httpx.AsyncClient(
            transport=transport,
            base_url="http://localhost:8080",
            headers={"accept-language": language},
        )
        self.page = httpx.Response(204)

    async def open(self, url: str) -> httpx.Response:
        """Go there, and on where it leads within our own site."""
        self.page = await self.http.get(url)
        while self.page.is_redirect and self.page.headers["location"].startswith("/"):
            self.page = await self.http.get(self.page.headers["location"])
        return self.page

    async def press(self, ends: str, *more: tuple[str, str], drop: str = "") -> httpx.Response:
        """Send the form whose address `ends` so, with `more` fields, and go on as `open` does."""
        action, fields = self.form(ends)
        sent = [field for field in fields if field[0] != drop] + list(more)
        self.page = await self.http.post(
            action,
            content=urlencode(sent),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        location = self.page.headers.get("location", "")
        return await self.open(location) if location.startswith("/") else self.page

    def form(self, ends: str) -> tuple[str, list[Field]]:
        """Address and fields of the form whose address `ends` so."""
        return Forms(self.page.text).to(ends)

    @property
    def dialog(self) -> str:
        """The provider's address to which the page just led."""
        assert self.page.status_code == 303, self.page.text
        location: str = self.page.headers["location"]
        assert urlsplit(location).hostname == "www.facebook.com"
        return location

    @property
    def heading(self) -> str:
        """The page's own heading."""
        found = re.search(r"<h1>(.*?)</h1>", self.page.text, re.DOTALL)
        assert found, self.page.text
        return html.unescape(found[1])

    async def close(self) -> None:
        """Let go of the connection."""
        await self.http.aclose()
