"""The address by which providers reach us."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

from contracts.settings import is_loopback
from gateway.cli.doctor.finding import Finding, fault, ok, warn
from gateway.cli.parts import Parts

TIMEOUT_S: Final = 5.0
HOOK: Final = "/webhooks/google-calendar"
"""Google obeys robots.txt where it delivers (Calendar push guide)."""


def address(built: Parts) -> Iterator[Finding]:
    """Providers deliver over HTTPS only, and to public addresses."""
    url = built.settings.public_url
    if is_loopback(url):
        yield warn(
            "public address", f"{url} is this machine", "set GATEWAY_PUBLIC_URL for real providers"
        )
    elif urlsplit(url).scheme != "https":
        yield fault("public address", f"{url} is not https", "providers deliver over HTTPS only")
    else:
        yield ok("public address", url)


def returning(built: Parts) -> Iterator[Finding]:
    """Whether the CRM can have people connect accounts and come back."""
    settings = built.settings
    if settings.return_urls is None and not is_loopback(settings.public_url):
        yield warn(
            "connect pages",
            "GATEWAY_RETURN_URLS is not set, so nobody can be led back to the CRM",
            "set it, or accounts are connected by hand alone",
        )
    elif settings.policy_url is None:
        yield warn(
            "connect pages",
            "no privacy policy is linked, and no version recorded",
            "set GATEWAY_POLICY_URL and GATEWAY_POLICY_VERSION",
        )
    else:
        yield ok("connect pages", f"link version {settings.policy_version} of the privacy policy")


def robots(built: Parts) -> Iterator[Finding]:
    """Whether robots.txt is there and lets Google deliver."""
    import httpx

    url = f"{built.settings.public_url.rstrip('/')}/robots.txt"
    try:
        answer = httpx.get(url, timeout=TIMEOUT_S)
    except httpx.HTTPError as error:
        detail = f"{url} cannot be read ({type(error).__name__})"
        yield warn("robots.txt", detail, "is the edge running, and reachable from here?")
        return
    rules = RobotFileParser()
    rules.parse(answer.text.splitlines() if answer.status_code == 200 else [])
    if answer.status_code >= 500:
        yield warn("robots.txt", f"{url} answers {answer.status_code}")
    elif answer.status_code == 200 and not rules.can_fetch("APIs-Google", HOOK):
        yield fault("robots.txt", f"{url} disallows {HOOK}", "Google will not deliver: allow it")
    else:
        yield ok("robots.txt", "allows deliveries")
