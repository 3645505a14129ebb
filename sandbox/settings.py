"""What the sandbox is told at its start: where to post, what to sign with, which apps exist."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.facebook.fields import ASKABLE
from sandbox.oauth.apps import App

DEMO_PAGES: Mapping[str, str] = {"1234567890": "Demo Page"}


class BadSetting(ValueError):
    """A setting is missing or malformed; the message names it and says what is expected."""


@dataclass(frozen=True)
class Settings:
    """Everything fixed for the life of the process; secrets never show in a `repr`.

    A login whose id or secret is missing is off. `redirect_uris` and the callbacks' URLs are, where
    none are given, those of the gateway at the webhook's origin. `configurations`: `config_id` of
    Facebook Login for Business → the scopes that it asks for.
    """

    webhook_url: str
    app_secret: str = field(repr=False)
    verify_token: str = field(repr=False)
    pages: Mapping[str, str] = field(default_factory=lambda: dict(DEMO_PAGES))
    app_id: str = ""
    instagram_app_id: str = ""
    instagram_app_secret: str = field(default="", repr=False)
    google_client_id: str = ""
    google_client_secret: str = field(default="", repr=False)
    redirect_uris: tuple[str, ...] = ()
    configurations: Mapping[str, Sequence[str]] = field(default_factory=dict)
    deauthorize_url: str = ""
    data_deletion_url: str = ""
    risc_url: str = ""

    def __post_init__(self) -> None:
        given = (self.webhook_url, self.deauthorize_url, self.data_deletion_url, self.risc_url)
        if not all(url.startswith(("http://", "https://")) for url in given if url):
            raise BadSetting("the webhook URL and the callbacks' begin with http:// or https://")
        if not self.webhook_url:
            raise BadSetting("a webhook URL is needed")
        if not self.verify_token:
            raise BadSetting("a verify token is needed: --verify-token, or META_VERIFY_TOKEN")

    @property
    def facebook(self) -> App:
        """The Meta app."""
        return App(self.app_id, self.app_secret, self._redirects("meta"))

    @property
    def instagram(self) -> App:
        """The Instagram app: another id and secret than the Meta app's."""
        return App(self.instagram_app_id, self.instagram_app_secret, self._redirects("instagram"))

    @property
    def google(self) -> App:
        """The OAuth client of the Cloud project."""
        return App(self.google_client_id, self.google_client_secret, self._redirects("google"))

    @property
    def deauthorize(self) -> str:
        """Where Meta and Instagram say that somebody removed the app."""
        return self.deauthorize_url or self._at_gateway("/meta/deauthorize")

    @property
    def data_deletion(self) -> str:
        """Where they say that somebody wants their data deleted."""
        return self.data_deletion_url or self._at_gateway("/meta/data-deletion")

    @property
    def risc(self) -> str:
        """Where Google posts security events."""
        return self.risc_url or self._at_gateway("/webhooks/google-risc")

    def _redirects(self, login: str) -> tuple[str, ...]:
        return self.redirect_uris or (self._at_gateway(f"/oauth/{login}/callback"),)

    def _at_gateway(self, path: str) -> str:
        parts = urlsplit(self.webhook_url)
        return f"{parts.scheme}://{parts.netloc}{path}"


def read_secret(value: str | None, file: Path | None) -> str:
    """Return the secret in `file` if given, else `value`; raise BadSetting if there is none."""
    secret = optional_secret(value, file)
    if not secret:
        raise BadSetting("an app secret is needed: --app-secret-file, or META_APP_SECRET")
    return secret


def optional_secret(value: str | None, file: Path | None) -> str:
    """Return the secret in `file` if given, else `value`, else nothing."""
    return file.read_text("utf-8").strip() if file is not None else (value or "").strip()


def read_configurations(environment: str | None) -> dict[str, tuple[str, ...]]:
    """Return `{config_id: scopes}` from the JSON object; raise BadSetting for what is none."""
    try:
        document = json.loads(environment or "{}")
    except ValueError as error:
        raise BadSetting(f"SANDBOX_LOGIN_CONFIGS is not JSON: {error}") from error
    lists = document.values() if isinstance(document, dict) else [None]
    if not all(isinstance(scopes, list) and ASKABLE.issuperset(scopes) for scopes in lists):
        raise BadSetting(
            'SANDBOX_LOGIN_CONFIGS is a JSON object such as {"42": ["email", "pages_show_list"]}'
        )
    return {str(config_id): tuple(scopes) for config_id, scopes in document.items()}


def read_pages(options: Sequence[str], environment: str | None) -> dict[str, str]:
    """Return `{page id: name}` from `ID:Name` options, else the JSON object, else a demo Page."""
    if options:
        return dict(_page_option(option) for option in options)
    if environment:
        return _pages_document(environment)
    return dict(DEMO_PAGES)


def _page_option(option: str) -> tuple[str, str]:
    page_id, _, name = option.partition(":")
    if not page_id.isdecimal():
        raise BadSetting(f'--page is ID:"Name" with a numeric id, not {option!r}')
    return page_id, name.strip().strip('"') or f"Page {page_id}"


def _pages_document(document: str) -> dict[str, str]:
    try:
        pages = json.loads(document)
    except ValueError as error:
        raise BadSetting(f"SANDBOX_PAGES is not JSON: {error}") from error
    if not isinstance(pages, dict) or not pages:
        raise BadSetting('SANDBOX_PAGES is a JSON object such as {"1234567890": "Demo Page"}')
    return dict(_page_option(f"{page_id}:{name}") for page_id, name in pages.items())
