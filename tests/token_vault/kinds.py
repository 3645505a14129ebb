"""One of each kind of key-encryption key, with what stands behind it, for the tests of all."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from google.api_core import exceptions

from tests.kms.aws import MADE_UP, KmsServer
from tests.kms.google import GoogleClient
from tests.kms.transit import TOKEN, VaultServer, certificate
from tests.processes import free_port
from token_vault import load_kek
from token_vault.kek import gcp
from token_vault.kek.kms import Attended, Enveloped
from token_vault.keysets import Aead


class Kms(NamedTuple):
    """A KMS with two keys. `key` opens one as a new process would; `stop` and `start` it."""

    key: Callable[[], Aead]
    other: Callable[[], Aead]
    stop: Callable[[], None] = lambda: None
    start: Callable[[], None] = lambda: None


@contextmanager
def local(folder: Path, _: pytest.MonkeyPatch) -> Iterator[Kms]:
    """Two keyring files."""
    one, other = (partial(load_kek, f"local:{folder / name}.json") for name in ("one", "other"))
    yield Kms(one, other)


@contextmanager
def aws(_: Path, patch: pytest.MonkeyPatch) -> Iterator[Kms]:
    """Moto, found as AWS's own tools find another endpoint."""
    server = KmsServer(free_port())
    for name, value in {**MADE_UP, "AWS_ENDPOINT_URL_KMS": server.url}.items():
        patch.setenv(name, value)
    server.start()
    try:
        one, other = (partial(load_kek, f"aws-kms://{server.create_key()}") for _ in range(2))
        yield Kms(one, other, server.stop, server.start)
    finally:
        server.stop()


@contextmanager
def hcvault(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Kms]:
    """Transit over HTTPS."""
    patch.setenv("VAULT_CACERT", str(certificate(folder)))
    patch.setenv("VAULT_TOKEN", TOKEN)
    server = VaultServer(folder, free_port())
    server.start()
    try:
        for name in ("one", "other"):
            server.transit.create(name)
        one, other = (partial(load_kek, server.uri(name)) for name in ("one", "other"))
        yield Kms(one, other, server.stop, server.start)
    finally:
        server.stop()


@contextmanager
def google(_: Path, __: pytest.MonkeyPatch) -> Iterator[Kms]:
    """A client in memory, below Tink's integration."""
    client = GoogleClient()
    ring = "projects/p/locations/global/keyRings/r/cryptoKeys/"

    def key(name: str) -> Aead:
        return Enveloped(Attended(gcp.SCHEME + name, lambda: gcp.key_of(client, name)))

    for name in ("one", "other"):
        client.create(ring + name)

    def stop() -> None:
        client.raising = exceptions.ServiceUnavailable("away")  # type: ignore[no-untyped-call]

    def start() -> None:
        client.raising = None

    yield Kms(partial(key, ring + "one"), partial(key, ring + "other"), stop, start)


KINDS: Final[Mapping[str, Callable[[Path, pytest.MonkeyPatch], AbstractContextManager[Kms]]]] = {
    "local": local,
    "aws": aws,
    "hcvault": hcvault,
    "gcp": google,
}
