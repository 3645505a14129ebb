"""Tink in one place: keysets made, wrapped and read, and its one error turned into ours."""

from typing import Any, Protocol

import tink
from tink import aead, hybrid, prf, secret_key_access
from tink.proto import tink_pb2

from contracts.errors import Tampered, UnknownKey, VaultError

aead.register()
prf.register()
hybrid.register()

Keyset = Any
"""A `tink.KeysetHandle`; the package is published without types."""

PREFIX_BYTES = 5
"""Tink's output prefix: a version byte and the key's id (Tink, "Wire format")."""


class Aead(Protocol):
    """What Tink calls AEAD: a key-encryption key has this shape, local or in a KMS."""

    def encrypt(self, plaintext: bytes, associated_data: bytes) -> bytes: ...

    def decrypt(self, ciphertext: bytes, associated_data: bytes) -> bytes: ...


def new_aead() -> Keyset:
    """A fresh AES-256-GCM keyset."""
    return tink.new_keyset_handle(aead.aead_key_templates.AES256_GCM)


def new_prf() -> Keyset:
    """A fresh HMAC-SHA-256 PRF keyset."""
    return tink.new_keyset_handle(prf.prf_key_templates.HMAC_SHA256)


def new_hpke() -> Keyset:
    """A fresh HPKE key pair: X25519, HKDF-SHA-256, AES-256-GCM (RFC 9180)."""
    templates = hybrid.hybrid_key_templates
    return tink.new_keyset_handle(templates.DHKEM_X25519_HKDF_SHA256_HKDF_SHA256_AES_256_GCM)


def public_part(pair: Keyset) -> bytes:
    """The public half of a key pair; nothing secret."""
    public: bytes = tink.proto_keyset_format.serialize_without_secret(pair.public_keyset_handle())
    return public


def wrap(keyset: Keyset, kek: Aead, bound: bytes) -> bytes:
    """Encrypt `keyset` under `kek`, bound to where it is stored. Raises what `kek` raises."""
    try:
        wrapped: bytes = tink.proto_keyset_format.serialize_encrypted(keyset, kek, bound)
    except tink.TinkError:
        raise VaultError("the key-encryption key does not open what it sealed") from None
    return wrapped


def unwrap(wrapped: bytes, kek: Aead, bound: bytes) -> Keyset:
    """Undo `wrap`. Raises `Tampered`, and what `kek` raises."""
    try:
        return tink.proto_keyset_format.parse_encrypted(wrapped, kek, bound)
    except tink.TinkError:
        raise Tampered("a wrapped key was changed, or is not of this row") from None


def clear(keyset: Keyset) -> bytes:
    """The keyset's secret bytes: to be wrapped at once by something that is not an AEAD."""
    secret: bytes = tink.proto_keyset_format.serialize(keyset, secret_key_access.TOKEN)
    return secret


def from_clear(secret: bytes) -> Keyset:
    """Undo `clear`. Raises `Tampered` when these are not a keyset's bytes."""
    try:
        return tink.proto_keyset_format.parse(secret, secret_key_access.TOKEN)
    except tink.TinkError:
        raise Tampered("the bytes of a key are not a keyset") from None


def to_json(keyset: Keyset) -> str:
    """Tink's JSON of the keyset, secret parts included: for the local keyring file."""
    text: str = tink.json_proto_keyset_format.serialize(keyset, secret_key_access.TOKEN)
    return text


def from_json(text: str) -> Keyset:
    """Undo `to_json`. Raises `Tampered` when `text` is not a keyset."""
    try:
        return tink.json_proto_keyset_format.parse(text, secret_key_access.TOKEN)
    except tink.TinkError:
        raise Tampered("not a keyset in Tink's JSON format") from None


def with_new_primary(keyset: Keyset) -> Keyset:
    """`keyset` with a further AES-256-GCM key that seals from now on; the others still open.

    Through the keyset's protocol buffer (tink.proto): Tink's Python has no keyset manager.
    """
    keys, added = tink_pb2.Keyset(), tink_pb2.Keyset()
    keys.ParseFromString(clear(keyset))
    taken = {key.key_id for key in keys.key}
    while not added.key or added.primary_key_id in taken:
        added.ParseFromString(clear(new_aead()))
    keys.key.extend(added.key)
    keys.primary_key_id = added.primary_key_id
    return from_clear(keys.SerializeToString())


def primary_only(keyset: Keyset) -> Keyset:
    """`keyset` without the keys that only open."""
    keys = tink_pb2.Keyset()
    keys.ParseFromString(clear(keyset))
    (primary,) = (key for key in keys.key if key.key_id == keys.primary_key_id)
    alone = tink_pb2.Keyset(primary_key_id=keys.primary_key_id, key=[primary])
    return from_clear(alone.SerializeToString())


def primary_prefix(keyset: Keyset) -> bytes:
    """The output prefix of the key that seals."""
    return _prefix(keyset.keyset_info().primary_key_id)


def prefixes(keyset: Keyset) -> frozenset[bytes]:
    """The output prefixes of the keyset's keys: how a sealed value names the key it needs."""
    return frozenset(_prefix(key.key_id) for key in keyset.keyset_info().key_info)


def _prefix(key_id: int) -> bytes:
    return b"\x01" + key_id.to_bytes(4, "big")


def refusal(sealed: bytes, known: frozenset[bytes]) -> Tampered | UnknownKey:
    """Why Tink would not open `sealed`, as the error to raise."""
    if sealed[:PREFIX_BYTES] in known:
        return Tampered("sealed bytes, or what they are bound to, were changed")
    return UnknownKey("sealed under a key that this keyset never had")


def bare_aead(keyset: Keyset) -> Aead:
    """Tink's own AEAD of the keyset: it raises `TinkError`, which `refusal` explains."""
    bare: Aead = keyset.primitive(aead.Aead)
    return bare


class Sealing:
    """An AEAD keyset ready for use, with our errors: the shape of `Aead`."""

    __slots__ = ("_decrypt", "_prefixes", "encrypt")

    def __init__(self, keyset: Keyset) -> None:
        bare = bare_aead(keyset)
        self.encrypt = bare.encrypt
        self._decrypt = bare.decrypt
        self._prefixes = prefixes(keyset)

    def decrypt(self, ciphertext: bytes, associated_data: bytes) -> bytes:
        """Open. Raises `UnknownKey | Tampered`."""
        try:
            return self._decrypt(ciphertext, associated_data)
        except tink.TinkError:
            raise refusal(ciphertext, self._prefixes) from None


class Hashing(Protocol):
    """A PRF: `compute(input, output length in bytes)`."""

    def __call__(self, input_data: bytes, output_length: int) -> bytes: ...


def hashing(keyset: Keyset) -> Hashing:
    """The primary PRF of a PRF keyset."""
    compute: Hashing = keyset.primitive(prf.PrfSet).primary().compute
    return compute


def seal_to_public(public: bytes, plaintext: bytes, context: bytes) -> bytes:
    """HPKE: seal to a day's public key, bound to `context`. Raises `Tampered` on a broken key."""
    try:
        keyset = tink.proto_keyset_format.parse_without_secret(public)
        sealed: bytes = keyset.primitive(hybrid.HybridEncrypt).encrypt(plaintext, context)
    except tink.TinkError:
        raise Tampered("a day's public key cannot be read") from None
    return sealed


class PrivateKey:
    """An HPKE private keyset ready for use, with our errors."""

    __slots__ = ("_decrypt", "_prefixes")

    def __init__(self, pair: Keyset) -> None:
        self._decrypt = pair.primitive(hybrid.HybridDecrypt).decrypt
        self._prefixes = prefixes(pair)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Undo `seal_to_public`. Raises `UnknownKey | Tampered`."""
        try:
            opened: bytes = self._decrypt(sealed, context)
        except tink.TinkError:
            raise refusal(sealed, self._prefixes) from None
        return opened
