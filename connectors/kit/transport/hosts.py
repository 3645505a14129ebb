"""Every provider's hosts in one table, and where they are when the sandbox plays them."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit, urlunsplit

HOSTS: Final[Mapping[str, str]] = {
    "graph.facebook.com": "meta",
    "www.facebook.com": "meta",
    "connect.facebook.net": "meta",
    "lookaside.fbsbx.com": "meta",
    "graph.instagram.com": "instagram",
    "api.instagram.com": "instagram",
    "www.instagram.com": "instagram",
    "accounts.google.com": "google",
    "oauth2.googleapis.com": "google",
    "openidconnect.googleapis.com": "google",
    "www.googleapis.com": "google",
    "gmail.googleapis.com": "google",
    "risc.googleapis.com": "google",
}
"""Host → whose it is, as metrics call it."""

OTHER: Final = "other"
"""A host that is in no table, as metrics and errors call it: a name may come from a tenant."""


def provider_of(host: str) -> str:
    """Whose `host` is, or `other`."""
    return HOSTS.get(host, OTHER)


def name_of(host: str) -> str:
    """`host` if it is in the table, else `other`."""
    return host if host in HOSTS else OTHER


def rerouted(url: str, sandbox_url: str | None) -> str:
    """`url`, at the sandbox if that plays its host: the path stays, and the name is its `Host`."""
    parts = urlsplit(url)
    if sandbox_url is None or parts.hostname not in HOSTS:
        return url
    sandbox = urlsplit(sandbox_url)
    return urlunsplit(parts._replace(scheme=sandbox.scheme, netloc=sandbox.netloc))


def place(url: str) -> tuple[str, int]:
    """Host and port of `url`."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
