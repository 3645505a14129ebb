"""The client's one class: pull by cursor, or consume with the position kept by the gateway."""

import logging
import math
import time
from collections.abc import Callable, Generator, Sequence
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

from contracts.errors import CursorError, GatewayError
from contracts.messages import Content, Message, decode
from gateway.client.calls import Calls, Consumer, Page

log = logging.getLogger("gateway.client")

COMMIT_EVERY_S: Final = 5.0
"""How long finished messages may stay uncommitted while a page is worked through."""
_CLOSING_S: Final = 2.0


class Gateway:
    """A gateway as the CRM core sees it, with one API key. Safe to share between threads.

    Every method raises the gateway's problems as errors of `contracts.errors`, and `Unavailable`
    when it was away for `patience_s` seconds; until then calls are repeated, with growing pauses.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        patience_s: float = 60.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`base_url`: where the gateway is, without a path. Nothing is called yet."""
        self._calls = Calls(base_url, key, patience_s, transport, sleep)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._calls.close()

    # -- consuming ----------------------------------------------------------------------------

    def consume(
        self,
        name: str,
        *,
        types: Sequence[str] = (),
        tenant: str | None = None,
        start: str = "beginning",
        wait: int = 30,
        limit: int = 200,
    ) -> Generator[Message[Content]]:
        """Messages without end, in order, from where consumer `name` was committed last.

        The consumer is made when it is new (`start`: beginning, now or a cursor). A message counts
        as finished when the next one is asked for, and only what is finished is committed: at the
        end of each page of `limit`, every few seconds in between, and when the loop is left. After
        an error or a crash the unfinished message comes again, after a crash also others of its
        page: their ids tell. While the gateway is away, or fails, it waits, however long, also for
        its first call; the log of `gateway.client` tells.

        Raises `LogRestored` and `CursorExpired`, after which `resume` goes on.
        """
        committed = self._put(name, types, tenant, start, math.inf).cursor
        while True:
            page = self._pull(name, limit, wait, math.inf)
            yield from self._work(name, page)
            if page.next != committed:
                self._commit(name, page.next, False, math.inf)
                committed = page.next

    def resume(self, name: str, error: CursorError) -> Consumer:
        """Put the consumer where it can go on, after `LogRestored` or `CursorExpired`.

        Messages that come again then have the ids that they had.
        """
        return self.commit(name, error.resume, rewind=True)

    def put_consumer(
        self,
        name: str,
        *,
        types: Sequence[str] = (),
        tenant: str | None = None,
        start: str = "beginning",
    ) -> Consumer:
        """Make the consumer unless it is there. Raises `Conflict` when it reads something else."""
        return self._put(name, types, tenant, start, None)

    def consumer(self, name: str) -> Consumer:
        """Position and lag. Raises `NotFound`."""
        return self._calls.call(Consumer, "GET", _consumer(name))

    def pull(self, name: str, *, limit: int = 200, wait: int = 0) -> Page:
        """One page after the committed position, which stays where it is. Raises `NotFound`."""
        return self._pull(name, limit, wait, None)

    def commit(self, name: str, cursor: str, *, rewind: bool = False) -> Consumer:
        """Move the position; backwards only with `rewind`. Raises `Conflict`, `NotFound`."""
        return self._commit(name, cursor, rewind, None)

    # -- reading ------------------------------------------------------------------------------

    def messages(
        self,
        after: str = "",
        *,
        limit: int = 100,
        wait: int = 0,
        tenant: str | None = None,
        connection: str | None = None,
        types: Sequence[str] = (),
    ) -> Page:
        """One page after a cursor that the caller keeps; `""` is the beginning."""
        query = {
            "after": after,
            "limit": limit,
            "wait": wait,
            "tenant": tenant,
            "connection": connection,
            "type": ",".join(types),
        }
        return self._calls.page("/v1/messages", query, wait_s=wait)

    def message(self, id: str) -> Message[Content]:  # noqa: A002 - the field's name
        """One message. Raises `NotFound`, and `KeyDestroyed` when it was erased."""
        return decode(self._calls.raw(f"/v1/messages/{quote(id, safe='')}"))

    # -- how consuming is done ----------------------------------------------------------------

    def _work(self, name: str, page: Page) -> Generator[Message[Content]]:
        """The messages of a page; when it is left early, what was finished is committed."""
        finished: list[str] = []
        told, told_at = 0, time.monotonic()
        try:
            for message in page.messages:
                yield message
                finished.append(message.id)
                if time.monotonic() - told_at > COMMIT_EVERY_S:
                    told += self._commit_part(name, finished[told:], _CLOSING_S)
                    told_at = time.monotonic()
        except GeneratorExit:
            if len(finished) > told:
                self._commit_part(name, finished[told:], _CLOSING_S)
            raise

    def _commit_part(self, name: str, finished: Sequence[str], patience_s: float) -> int:
        """Commit behind the last of `finished`, the first messages after the committed position.

        A page names the cursor of its end alone: a page as long as what is finished ends there.
        Returns how many of them were committed. When the gateway is away none are, and they come
        again, which is as safe.
        """
        try:
            page = self._pull(name, len(finished), 0, patience_s)
            ids = [message.id for message in page.messages]
            if not set(ids) <= set(finished):
                return 0
            self._commit(name, page.next, False, patience_s)
        except GatewayError as error:
            log.warning("finished messages are not committed, they come again: %s", error)
            return 0
        return finished.index(ids[-1]) + 1 if ids else 0

    def _put(
        self,
        name: str,
        types: Sequence[str],
        tenant: str | None,
        start: str,
        patience_s: float | None,
    ) -> Consumer:
        body: dict[str, Any] = {"start": start, "types": list(types)}
        if tenant is not None:
            body["tenant"] = tenant
        path = _consumer(name)
        return self._calls.call(Consumer, "PUT", path, body=body, patience_s=patience_s)

    def _pull(self, name: str, limit: int, wait: int, patience_s: float | None) -> Page:
        return self._calls.page(
            f"{_consumer(name)}/messages",
            {"limit": limit, "wait": wait},
            wait_s=wait,
            patience_s=patience_s,
        )

    def _commit(self, name: str, cursor: str, rewind: bool, patience_s: float | None) -> Consumer:
        body = {"cursor": cursor, "rewind": rewind}
        path = f"{_consumer(name)}/commit"
        return self._calls.call(Consumer, "POST", path, body=body, patience_s=patience_s)


def _consumer(name: str) -> str:
    return f"/v1/consumers/{quote(name, safe='')}"
