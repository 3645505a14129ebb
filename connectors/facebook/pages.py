"""The Pages that a consent makes available. Graph has three places for them. It loads facebook-sdk.

Source: https://developers.facebook.com/docs/graph-api/reference/user/accounts.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from connectors.kit.meta.graph import Graph
from connectors.kit.meta.paths import path_of
from connectors.kit.shape import Id
from contracts.accounts import Choice
from contracts.errors import Permanent, Retryable
from contracts.login import Granted
from contracts.tokens import Secret

TASKS: Final = frozenset({"MESSAGING", "MODERATE"})
"""What somebody must be allowed to do at a Page: to write for it, and to subscribe it."""

_OF_PERSON: Final = "id,name,access_token,tasks"
_OF_PAGE: Final = "id,name,access_token"
"""Asked of the Page itself, which knows nothing of anybody's tasks."""
_BUSINESS: Final = "business_management"
_MOST_AT_ONCE: Final = 100


class _Page(msgspec.Struct):
    id: Id
    name: str = ""
    access_token: str | None = None
    tasks: list[str] | None = None

    @property
    def choice(self) -> Choice:
        token = Secret(self.access_token) if self.access_token else None
        return Choice(str(self.id), self.name, token=token, hindrance=self._hindrance)

    @property
    def _hindrance(self) -> str:
        if self.tasks is not None and not TASKS.issubset(self.tasks):
            return "no-task"
        return "" if self.access_token else "no-access"


def pages(graph: Graph, granted: Granted) -> list[Choice]:
    """By name, those that can be connected first. `graph` with the user's token."""
    found = {str(page.id): page for page in _all(graph, "me/accounts", _OF_PERSON)}
    for page in _named(granted) - found.keys():
        found[page] = _one(graph, page)
    if not found and _BUSINESS in granted.scopes:
        found = {str(page.id): page for page in _of_businesses(graph)}
    choices = [page.choice for page in found.values()]
    return sorted(choices, key=lambda choice: (bool(choice.hindrance), choice.name, choice.account))


def _named(granted: Granted) -> frozenset[str]:
    """Pages that the consent itself names: those of a business may be missing in the list."""
    of_pages = (ids for scope, ids in granted.targets.items() if scope.startswith("pages_"))
    return frozenset().union(*of_pages)


def _of_businesses(graph: Graph) -> Iterator[_Page]:
    for business in graph.each("me/businesses", fields="id", limit=_MOST_AT_ONCE):
        for edge in ("owned_pages", "client_pages"):
            yield from _all(graph, path_of(str(business.get("id")), edge), _OF_PAGE)


def _all(graph: Graph, path: str, fields: str) -> Iterator[_Page]:
    yield from map(_page, graph.each(path, fields=fields, limit=_MOST_AT_ONCE))


def _one(graph: Graph, page: str) -> _Page:
    """A Page that may not be asked is still shown: it was ticked in the dialog."""
    try:
        return _page(graph.get(path_of(page), fields=_OF_PAGE))
    except Permanent:
        return _Page(id=page)


def _page(told: dict[str, Any]) -> _Page:
    try:
        return msgspec.convert(told, _Page, strict=False)
    except msgspec.ValidationError:
        raise Retryable("Graph answered with something else than Pages") from None
