"""What the sandbox is told at its start: where to post, what to sign with, which Pages exist."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

DEMO_PAGES: Mapping[str, str] = {"1234567890": "Demo Page"}


class BadSetting(ValueError):
    """A setting is missing or malformed; the message names it and says what is expected."""


@dataclass(frozen=True)
class Settings:
    """Everything fixed for the life of the process; secrets never show in a `repr`."""

    webhook_url: str
    app_secret: str = field(repr=False)
    verify_token: str = field(repr=False)
    pages: Mapping[str, str] = field(default_factory=lambda: dict(DEMO_PAGES))

    def __post_init__(self) -> None:
        if not self.webhook_url.startswith(("http://", "https://")):
            raise BadSetting("the webhook URL must begin with http:// or https://")
        if not self.verify_token:
            raise BadSetting("a verify token is needed: --verify-token, or META_VERIFY_TOKEN")


def read_secret(value: str | None, file: Path | None) -> str:
    """Return the secret in `file` if given, else `value`; raise BadSetting if there is none."""
    secret = file.read_text("utf-8").strip() if file is not None else (value or "").strip()
    if not secret:
        raise BadSetting("an app secret is needed: --app-secret-file, or META_APP_SECRET")
    return secret


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
