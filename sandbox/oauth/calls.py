"""The log of the calls that the providers' APIs received, with hashes in place of tokens."""

import hashlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from sandbox.fields import JsonObject
from sandbox.wirelog import utc_now

CALLS_KEPT = 10_000

TOKENS = ("access_token", "token", "refresh_token", "fb_exchange_token", "id_token")
"""Parameters that may hold the token of a call, the likeliest first."""


def hash_of(token: str) -> str:
    """Return the SHA-256 of a token in hex: the log's name for it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass
class Call:
    """One call: `params` are the names of its parameters, `status` None while it is under way."""

    id: int
    method: str
    host: str
    path: str
    params: tuple[str, ...]
    token: str | None
    at: str = field(default_factory=utc_now)
    status: int | None = None
    trouble: str | None = None

    def document(self) -> JsonObject:
        """Return the call as the API shows it."""
        return vars(self) | {"params": list(self.params)}


class CallLog:
    """The newest calls, in memory."""

    def __init__(self) -> None:
        self._ids = 0
        self._calls: deque[Call] = deque(maxlen=CALLS_KEPT)

    def add(
        self,
        method: str,
        host: str,
        path: str,
        bearer: str | None,
        pairs: Iterable[tuple[str, str]],
    ) -> Call:
        """Record a call that has begun; of the parameters only the names are kept."""
        self._ids += 1
        given = dict(pairs)
        token = bearer or next((given[name] for name in TOKENS if given.get(name)), None)
        names = tuple(sorted(given))
        call = Call(self._ids, method, host, path, names, None if token is None else hash_of(token))
        self._calls.append(call)
        return call

    def since(self, after: int) -> list[Call]:
        """Return the calls after the one with that id, oldest first."""
        return [call for call in self._calls if call.id > after]

    def clear(self) -> None:
        """Forget them all; ids go on."""
        self._calls.clear()
