"""What providers call of their own accord beside webhooks: deauthorization, deletion, security."""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import httpx

from sandbox.fields import JsonObject
from sandbox.wirelog import utc_now

KEPT = 500
ANSWER_KEPT = 2_000
TIME_LIMIT_S = 10.0

Kind = Literal["deauthorize", "data_deletion", "risc"]


@dataclass
class Callback:
    """One POST and what came back: a status and a body, or an error where no answer came."""

    id: int
    kind: Kind
    url: str
    body: str
    at: str = field(default_factory=utc_now)
    status: int | None = None
    answer: str = ""
    error: str | None = None

    def document(self) -> JsonObject:
        """Return the callback as the API shows it."""
        return dict(vars(self))


class Callbacks:
    """Posts, once each, and remembers."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._ids = 0
        self._kept: deque[Callback] = deque(maxlen=KEPT)

    async def post(self, kind: Kind, url: str, body: str, content_type: str) -> Callback:
        """Post `body` and return what became of it; nothing is tried again."""
        self._ids += 1
        callback = Callback(self._ids, kind, url, body)
        self._kept.append(callback)
        headers = {"Content-Type": content_type}
        try:
            response = await self._client.post(
                url, content=body, headers=headers, timeout=TIME_LIMIT_S
            )
        except httpx.HTTPError as error:
            callback.error = str(error) or type(error).__name__
        else:
            callback.status, callback.answer = response.status_code, response.text[:ANSWER_KEPT]
        return callback

    def documents(self) -> list[JsonObject]:
        """Return those that are kept, oldest first."""
        return [callback.document() for callback in self._kept]

    def clear(self) -> None:
        """Forget them; ids go on."""
        self._kept.clear()
