"""Somebody with a browser, as far as HTTP goes: through our pages, the dialog, and back."""

import html
import re
from collections.abc import Collection
from typing import Self
from urllib.parse import urlencode

import httpx

from tests.e2e.crm import Crm
from tests.forms import Field, Forms, leads_on_to

_FORM = {"content-type": "application/x-www-form-urlencoded"}


class Visitor:
    """One browser; `page` is what it shows. It goes wherever it is led, over both sites."""

    def __init__(self, person: str) -> None:
        """`person`: who sits before the provider's dialog."""
        self._person = person
        self._http = httpx.Client(follow_redirects=True, timeout=30, trust_env=False)
        self.page = httpx.Response(204)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def open(self, url: str) -> None:
        """Go there."""
        self.page = self._http.get(url)
        assert self.page.status_code == 200, self.page.text

    def ask(self) -> None:
        """Press the button that leads to the dialog, and say there who one is."""
        self._press("/ask")
        dialog = httpx.URL(leads_on_to(self.page.text))
        self.open(str(dialog.copy_merge_params({"sandbox_person": self._person})))

    def allow(self, *without: str) -> None:
        """Tick all of the dialog but `without`, continue, and come back."""
        ticked = [box for box in self._offered() if box[1] not in without]
        self._post(str(self.page.url), [("decision", "continue"), *ticked])

    def pick(self) -> None:
        """Connect what is ticked on the page that asks what to connect."""
        self._press("/pick")

    def to_pick(self, link: str, *without: str) -> None:
        """From the link to the page that asks what to connect."""
        self.open(link)
        self.ask()
        self.allow(*without)

    @property
    def heading(self) -> str:
        """The page's own heading."""
        found = re.search(r"<h1>(.*?)</h1>", self.page.text, re.DOTALL)
        assert found, self.page.text
        return html.unescape(found[1])

    @property
    def connected(self) -> list[str]:
        """The connections that the last page names."""
        return re.findall(r'data-connection="(con_\w+)"', self.page.text)

    def _offered(self) -> list[Field]:
        """The dialog's boxes that may be ticked, but for the one of all Pages for ever."""
        boxes = re.findall(r'name="(\w+)" value="([^"]+)"(?: checked)?>', self.page.text)
        return [box for box in boxes if box[0] in ("permission", "page", "scope")]

    def _press(self, ends: str) -> None:
        action, fields = Forms(self.page.text).to(ends)
        self._post(str(self.page.url.join(action)), fields)

    def _post(self, url: str, fields: Collection[Field]) -> None:
        self.page = self._http.post(url, content=urlencode(list(fields)), headers=_FORM)


def connected(crm: Crm, tenant: str, provider: str, person: str, **asked: object) -> str:
    """The person connects the one account that they have; returns the connection, active. `asked`:
    of the link.
    """
    with Visitor(person) as visitor:
        visitor.to_pick(crm.link(tenant, provider, **asked))
        visitor.pick()
        assert visitor.heading == "Connected", visitor.page.text
        [id_] = visitor.connected
    crm.until(id_, "active")
    return id_
