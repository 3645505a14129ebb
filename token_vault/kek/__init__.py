"""Key-encryption keys by URI: a keyring file, or a key that never leaves its KMS."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from contracts.errors import Misconfigured
from token_vault.kek.kms import Attended, Enveloped
from token_vault.kek.local import open_keyring
from token_vault.keysets import Aead

SETTING: Final = "GATEWAY_KEK_URI"


class Kind(NamedTuple):
    """A kind of key-encryption key: how its URI reads, and what opens what follows the scheme."""

    form: str
    pattern: re.Pattern[str]
    open: Callable[[str], Aead]


def _keyring(path: str) -> Aead:
    return open_keyring(Path(path))


# The libraries of a KMS are loaded when its key is first asked for: they take time and memory, and
# an embedded gateway or an edge that starts needs none of them.


def _aws(arn: str) -> Aead:
    from token_vault.kek import aws

    return aws.open_key(arn)


def _gcp(name: str) -> Aead:
    from token_vault.kek import gcp

    return gcp.open_key(name)


def _hcvault(address: str) -> Aead:
    from token_vault.kek import hcvault

    return hcvault.open_key(address)


_NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
KINDS: Final[Mapping[str, Kind]] = {
    "local:": Kind("local:/path/keyring.json", re.compile(r".+"), _keyring),
    "aws-kms://": Kind(
        "aws-kms://arn:aws:kms:REGION:ACCOUNT:key/ID",
        re.compile(r"arn:aws:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+"),
        _aws,
    ),
    "gcp-kms://": Kind(
        "gcp-kms://projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY",
        re.compile(
            r"projects/[^/\s]+/locations/[\w-]+/keyRings/[\w-]{1,63}/cryptoKeys/[\w-]{1,63}"
        ),
        _gcp,
    ),
    "hcvault://": Kind(
        "hcvault://HOST[:PORT]/MOUNT/keys/NAME",
        re.compile(rf"({_NAME}|\[[0-9a-fA-F:]+\])(:\d{{1,5}})?(/{_NAME})+/keys/{_NAME}"),
        _hcvault,
    ),
}
"""By scheme. An AWS key is named by its ARN: an alias may be pointed at another key."""


def check_uri(uri: str, setting: str = SETTING) -> None:
    """Raises `Misconfigured` for what names no key, and says what does; asks nobody. `setting` is
    what it says the URI was taken from.
    """
    _kind(uri, setting)


def load_kek(uri: str, setting: str = SETTING) -> Aead:
    """The key-encryption key that `uri` names; the file of `local:PATH` is made on first use.
    Errors of a KMS begin with `setting`, from which the URI was taken.

    A KMS is asked, and its library loaded, when the key is used: from then on any use may raise
    `KeyUnavailable` while the KMS is away, locked or refuses the gateway, and `Misconfigured` when
    it has no such key. Opening raises `UnknownKey` for what another key wrapped and `Tampered` for
    what was changed. Raises `Misconfigured` for a URI that names no key, and for a keyring file
    that is no keyset, cannot be read, or may be read by others.
    """
    kind, rest = _kind(uri, setting)
    if kind is KINDS["local:"]:
        return kind.open(rest)
    return Enveloped(Attended(f"{setting}={uri}", lambda: kind.open(rest)))


def _kind(uri: str, setting: str) -> tuple[Kind, str]:
    for scheme, kind in KINDS.items():
        rest = uri.removeprefix(scheme)
        if uri.startswith(scheme) and kind.pattern.fullmatch(rest):
            return kind, rest
    known = ", ".join(kind.form for kind in KINDS.values())
    raise Misconfigured(f"{setting}: names no key; known are: {known}")
