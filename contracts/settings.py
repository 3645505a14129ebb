"""Settings from the environment or `.env`: typed structs, secrets also from `…_FILE`."""

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from dotenv import dotenv_values

from contracts.errors import Misconfigured
from contracts.media import LIMITS_MB
from contracts.return_urls import Place, is_loopback_host, place_of
from contracts.tokens import parse_secret

S = TypeVar("S", bound=msgspec.Struct)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


_WEB: Final = ("public_url", "sandbox_url", "policy_url")
_URLS: Final = (*_WEB, "database_url", "database_listen_url", "keystore_url", "broker_url")
_ADDRESS: Final = re.compile(r"[\w.-]+:\d{1,5}")
_OTHERS: Final = re.compile(r"GATEWAY_(TEST_.*|URL|KEY|SERVICE_.*|PORT(_.*)?)")
"""Not settings of ours: those of tests, those of the client's example, and what Kubernetes puts
into the environment beside a service called `gateway`."""


class Settings(msgspec.Struct, frozen=True, rename=lambda field: f"GATEWAY_{field.upper()}"):
    """What the gateway itself needs; a provider's settings live in its own folder."""

    data_dir: Path = Path("var")
    database_url: str | None = None
    """`sqlite:///path` or `postgresql://…`; default: `gateway.db` in the data directory."""
    database_listen_url: str | None = None
    """The server's own address, for what needs a session, when `database_url` goes through a
    transaction-mode pooler.
    """
    keystore_url: str | None = None
    """The key store's own database; default: `keys.db` in the data directory."""
    broker_url: str | None = None
    """`amqp://…`, `redis://…` or `filesystem://path`; default: `broker` in the data directory."""
    kek_uri: str | None = None
    """The key-encryption key; default: `local:` a keyring file in the data directory."""
    kek_uri_previous: str | None = None
    """While the key-encryption key is being rotated: the other one, which still opens."""
    key_cache_seconds: float = 300.0
    """How long an opened key is used before it is asked for again: so long work goes on without
    the key-encryption key, and so long a destroyed key may live in another process."""
    public_url: str = "http://localhost:8080"
    log_format: Literal["json", "console"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    sandbox_url: str | None = None
    allow_networks: str | None = None
    """CIDRs, separated by commas or spaces, that calls may go to although they are not public."""
    return_urls: str | None = None
    """Where people may be sent back to after connecting, separated by spaces or commas; see
    `contracts.return_urls`. None: to this machine alone, and only while we are on it as well."""
    policy_url: str | None = None
    """The privacy policy that the connect pages link."""
    policy_version: str | None = None
    """Its version, recorded with every consent."""
    raw_days: int = 7
    """How many days raw deliveries are kept before their day's key is destroyed."""
    dedup_days: int = 30
    """How many days deduplication keys are kept; never less than raw deliveries."""
    objects_url: str | None = None
    """Where media are kept: `file:/path` or `s3://bucket/prefix?endpoint=…&region=…`; default:
    `objects` in the data directory."""
    media_days: int = 90
    """How many days media are kept after they came."""
    media_limits: str | None = None
    """How large they may be, in MiB by kind, where that is to be another size:
    `image=10 video=64`; see `contracts.media.LIMITS_MB`."""
    worker_metrics: str | None = None
    """`host:port` where this worker serves its metrics; none: nowhere."""
    lease_seconds: float = 10.0
    """How long a killed worker's lanes wait for the next one; longer than any turn may take. What
    comes due by itself waits six times as long, since it calls providers."""

    def __post_init__(self) -> None:
        for name in _URLS:
            _check_url(f"GATEWAY_{name.upper()}", getattr(self, name), web=name in _WEB)
        if self.sandbox_url and not is_loopback(self.public_url):
            raise Misconfigured("GATEWAY_SANDBOX_URL needs a loopback GATEWAY_PUBLIC_URL")
        _ = self.allowed_networks
        _ = self.return_places
        _ = self.media_bytes
        if self.media_days < 1:
            raise Misconfigured("GATEWAY_MEDIA_DAYS must be at least 1")
        if bool(self.policy_url) != bool(self.policy_version):
            raise Misconfigured("GATEWAY_POLICY_URL and GATEWAY_POLICY_VERSION belong together")
        if self.raw_days < 1:
            raise Misconfigured("GATEWAY_RAW_DAYS must be at least 1")
        if self.worker_metrics and not _ADDRESS.fullmatch(self.worker_metrics):
            raise Misconfigured("GATEWAY_WORKER_METRICS must be host:port, e.g. 127.0.0.1:9464")
        if not 1 <= self.lease_seconds <= 600:
            raise Misconfigured("GATEWAY_LEASE_SECONDS must be 1 to 600")
        if not 1 <= self.key_cache_seconds <= 300:
            raise Misconfigured("GATEWAY_KEY_CACHE_SECONDS must be 1 to 300")
        if self.dedup_days < max(30, self.raw_days + 1):
            raise Misconfigured(
                "GATEWAY_DEDUP_DAYS must be at least 30, and more than GATEWAY_RAW_DAYS"
            )

    @property
    def allowed_networks(self) -> tuple[Network, ...]:
        """`allow_networks`, read. Raises `Misconfigured` naming what is no network."""
        return tuple(_network(text) for text in re.findall(r"[^\s,]+", self.allow_networks or ""))

    @property
    def media_bytes(self) -> dict[str, int]:
        """The largest media of each kind. Raises `Misconfigured` naming what is no limit."""
        sizes = dict(LIMITS_MB)
        for text in re.findall(r"[^\s,]+", self.media_limits or ""):
            kind, _, size = text.partition("=")
            if kind not in sizes or not size.isdecimal() or not 1 <= int(size) <= 2048:
                raise Misconfigured(f"GATEWAY_MEDIA_LIMITS: {text} is no limit, as image=10 is")
            sizes[kind] = int(size)
        return {kind: size << 20 for kind, size in sizes.items()}

    @property
    def return_places(self) -> tuple[Place, ...]:
        """`return_urls`, read. Raises `Misconfigured` naming what is none."""
        return tuple(_place(text) for text in re.findall(r"[^\s,]+", self.return_urls or ""))

    def may_return_to(self, url: str) -> bool:
        """Whether people may be sent to `url`; without `return_urls` to this machine, from it."""
        place = place_of(url)
        if place is None:
            return False
        if self.return_urls is None:
            return is_loopback(self.public_url) and is_loopback_host(place.host)
        return any(allowed.covers(place) for allowed in self.return_places)

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'gateway.db'}"

    @property
    def has_pooler(self) -> bool:
        """Whether a transaction-mode pooler stands before the main database."""
        return self.database_listen_url is not None

    @property
    def direct_database(self) -> str:
        """The main database past any pooler: where LISTEN and prepared statements work."""
        return self.database_listen_url or self.database

    @property
    def keystore(self) -> str:
        return self.keystore_url or f"sqlite:///{self.data_dir.absolute() / 'keys.db'}"

    @property
    def broker(self) -> str:
        return self.broker_url or f"filesystem://{self.data_dir.absolute() / 'broker'}"

    @property
    def kek(self) -> str:
        return self.kek_uri or f"local:{self.data_dir.absolute() / 'keyring.json'}"


def load(kind: type[S], environ: Mapping[str, str]) -> S:
    """Read `kind` from `environ`. Raises `Misconfigured` naming the setting and what is wrong.

    An empty value counts as absent. For a field NAME, NAME_FILE gives a file that holds its value.
    """
    values: dict[str, str] = {}
    for field in msgspec.structs.fields(kind):
        text = environ.get(field.encode_name) or _from_file(field.encode_name, environ)
        if text:
            values[field.encode_name] = text
    try:
        return msgspec.convert(values, kind, strict=False, dec_hook=_parse)
    except msgspec.ValidationError as error:
        raise Misconfigured(str(error)) from None


def unknown(environ: Mapping[str, str]) -> list[str]:
    """Names in `environ` that begin as our settings do and are none: misspelt, or of another
    version.
    """
    fields = {field.encode_name for field in msgspec.structs.fields(Settings)}
    known = fields | {f"{name}_FILE" for name in fields}
    ours = (name for name in environ if name.startswith("GATEWAY_") and not _OTHERS.fullmatch(name))
    return sorted(name for name in ours if name not in known)


def environment(path: Path = Path(".env")) -> dict[str, str]:
    """The process environment over the values of `.env` (python-dotenv's format)."""
    from_file = {name: value for name, value in dotenv_values(path).items() if value is not None}
    return {**from_file, **os.environ}


def is_loopback(url: str) -> bool:
    """Whether `url`'s host is this machine: `localhost` or a loopback address."""
    return is_loopback_host(urlsplit(url).hostname or "")


def _check_url(name: str, url: str | None, *, web: bool) -> None:
    """Raises `Misconfigured`; the text leaves out the URL, which may hold a password."""
    if url is None:
        return
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no port
    except ValueError:
        raise Misconfigured(f"{name}: its host or port cannot be read") from None
    if web and not (parts.scheme in ("http", "https") and parts.hostname):
        raise Misconfigured(f"{name} must be http://host or https://host")


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise Misconfigured(
            f"GATEWAY_ALLOW_NETWORKS: {text} is no network, as 10.1.0.0/16 is"
        ) from None
    if network.prefixlen == 0:
        raise Misconfigured(f"GATEWAY_ALLOW_NETWORKS: {text} would switch the address guard off")
    return network


def _place(text: str) -> Place:
    place = place_of(text)
    if place is None or "?" in text:
        raise Misconfigured(
            f"GATEWAY_RETURN_URLS: {text} is not https://host/path, or http to this machine"
        )
    return place


def _from_file(name: str, environ: Mapping[str, str]) -> str | None:
    path = environ.get(f"{name}_FILE")
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Misconfigured(f"{name}_FILE: {error.strerror}: {path}") from None


def _parse(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    return parse_secret(kind, value)
