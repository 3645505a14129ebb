"""Where people may be sent back to: an allow-list of origins and path prefixes.

A URL is allowed by an entry when scheme, host and port are the same (a default port may be left
out) and its path is the entry's or lies below it: `https://crm.example/done` allows itself,
`/done/` and `/done/1`, and not `/done2`. An entry without a path allows every path. A URL's query
is free. User names, fragments, dot segments, backslashes and whatever is no printable ASCII are
refused, in entries and in URLs, as is plain http to any other machine than this one.
"""

import ipaddress
import re
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

_PLAIN: Final = re.compile(r"[!-\[\]-~]+")
"""Printable ASCII without the backslash, which browsers take for a slash."""
_PORTS: Final = {"http": 80, "https": 443}


class Place(NamedTuple):
    """Origin and path of a URL, in one spelling."""

    scheme: str
    host: str
    port: int
    path: str

    def covers(self, other: "Place") -> bool:
        """Whether `other` is this place or lies below it."""
        below = self.path if self.path.endswith("/") else f"{self.path}/"
        same = other.path == self.path or other.path.startswith(below)
        return self[:3] == other[:3] and same


def place_of(url: str) -> Place | None:
    """Where `url` leads, or None when nobody may be sent there."""
    if not _PLAIN.fullmatch(url) or "#" in url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    host = parts.hostname or ""
    fit = bool(host and port) and "@" not in parts.netloc and not _climbs(parts.path)
    if not fit or (parts.scheme == "http" and not is_loopback_host(host)):
        return None
    return Place(parts.scheme, host, port, parts.path or "/")


def is_loopback_host(host: str) -> bool:
    """Whether `host` is this machine: `localhost` or a loopback address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _climbs(path: str) -> bool:
    """Whether a path has dot segments, however often they are escaped."""
    while (plain := unquote(path)) != path:
        path = plain
    return "\\" in path or any(part in (".", "..") for part in path.split("/"))
