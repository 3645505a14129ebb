"""What the tests of logins share: a clock, the logins with made-up settings, what was sent."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import httpx
from pytest_httpx import HTTPXMock

from connectors.kit.google.login import GoogleLogin
from connectors.kit.google.settings import GoogleSettings
from connectors.kit.instagram.login import InstagramLogin
from connectors.kit.instagram.settings import InstagramSettings
from connectors.kit.meta.login import MetaLogin
from connectors.kit.meta.settings import MetaSettings
from contracts.login import Code, Consent, Tokens
from contracts.tokens import Secret

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
URI = "https://gw.example/oauth/x/callback"


def now() -> datetime:
    return NOW


def meta(login_config_id: str | None = None) -> MetaLogin:
    settings = MetaSettings(
        app_secret=Secret("SECRET3"),
        verify_token=Secret("v"),
        app_id="3",
        login_config_id=login_config_id,
    )
    return MetaLogin(settings, now)


GOOGLE = GoogleLogin(GoogleSettings(client_id="ID1", client_secret=Secret("SECRET1")), now)
INSTAGRAM = InstagramLogin(InstagramSettings(app_id="2", app_secret=Secret("SECRET2")), now)
META = meta()
LOGINS = [GOOGLE, INSTAGRAM, META]


def consent(*scopes: str, again: bool = False, challenge: str | None = None) -> Consent:
    return Consent(
        state=Secret("STATE1"),
        redirect_uri=URI,
        scopes=frozenset(scopes),
        challenge=challenge,
        again=again,
    )


def code(text: str = "CODE1", verifier: str | None = None) -> Code:
    return Code(Secret(text), URI, Secret(verifier) if verifier else None)


def tokens(subject: str = "77", access: str = "TOKEN1", refresh: str | None = None) -> Tokens:
    return Tokens(Secret(access), NOW, None, Secret(refresh) if refresh else None, subject)


def asked(url: str) -> dict[str, str]:
    """The query of an address; a name that stands there twice fails."""
    return {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}


def form(request: httpx.Request) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(request.content.decode()).items()}


def paths(httpx_mock: HTTPXMock) -> list[tuple[str, str]]:
    return [(sent.method, sent.url.path) for sent in httpx_mock.get_requests()]
