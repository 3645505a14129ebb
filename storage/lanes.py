"""Lanes: which of the 1,024 an account's items go through, in every process and for ever."""

from hashlib import blake2b

from storage.schema import LANES


def lane_of(provider: str, route: str) -> int:
    """The lane of a provider's route key, 0 to 1023.

    BLAKE2b with a digest of 8 bytes over both, each led by its length so that no two pairs read
    alike; as a big-endian number, modulo the lanes. Changing it would break the order of accounts
    that have items waiting.
    """
    name, key = provider.encode(), route.encode("utf-8", "surrogatepass")
    packed = b"%d:%b%d:%b" % (len(name), name, len(key), key)
    return int.from_bytes(blake2b(packed, digest_size=8).digest(), "big") % LANES
