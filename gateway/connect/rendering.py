"""Renders the connect pages: templates with everything escaped, no script or style within."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from starlette.responses import HTMLResponse, Response

from contracts.login import Window
from gateway.connect.texts import LANGUAGES, catalog

if TYPE_CHECKING:
    from jinja2 import Environment

ASSETS: Final = "/connect/assets"

_RULES: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)


_USUAL: Final = {"content-security-policy": _RULES}


def policies_for(window: Window) -> dict[str, str]:
    """Of the one page that runs a script of a provider's: that script, and windows and frames of
    its origins. The provider wants to see which site it is, and is told our origin alone.
    """
    parts = urlsplit(window.script)
    script, origins = f"{parts.scheme}://{parts.netloc}", " ".join(window.origins)
    rules = (
        f"default-src 'none'; style-src 'self'; script-src 'self' {script}; "
        f"connect-src {origins}; frame-src {origins}; img-src {origins}; "
        "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    )
    return {"content-security-policy": rules, "referrer-policy": "strict-origin"}


SAFE: Final = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
}
"""The session's token is in the address, so nobody is told it and nothing keeps the page."""


class Texts:
    """One language's texts, with names filled in; what is filled in is escaped by the template."""

    def __init__(self, language: str, **names: str) -> None:
        self.language = language
        self._names = names

    def __call__(self, key: str, **names: str) -> str:
        return self.fill(catalog(self.language)[key], **names)

    def has(self, key: str) -> bool:
        """Whether there is such a text."""
        return key in catalog(self.language)

    def fill(self, text: str, **names: str) -> str:
        """A text from elsewhere, in the same way."""
        return text.format_map({**self._names, **names})


class Renderer:
    """Loads the templates when the first page is asked for."""

    def page(
        self,
        template: str,
        texts: Texts,
        *,
        status: int = 200,
        policies: Mapping[str, str] = _USUAL,
        **values: Any,
    ) -> Response:
        """The page of a template, filled in; `policies`: headers of its own."""
        languages = {name: catalog(name)["page.language"] for name in LANGUAGES}
        html = self._templates.get_template(f"{template}.html").render(
            t=texts, languages=languages, assets=ASSETS, **values
        )
        headers = {**SAFE, **policies, "content-language": texts.language}
        return HTMLResponse(html, status, headers)

    @cached_property
    def _templates(self) -> "Environment":
        from jinja2 import Environment, PackageLoader, StrictUndefined

        return Environment(
            loader=PackageLoader("gateway.connect"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
