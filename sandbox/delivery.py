"""Posting webhooks as Meta does: signed, in order, again when the answer is not 200."""

import asyncio
import contextlib
import time
import zlib
from collections.abc import Collection, Coroutine, Mapping, Sequence

import httpx

from sandbox.entries import Entry
from sandbox.misbehave import Armed, Misbehaviour
from sandbox.signing import SIGNATURE_HEADER, Signature, signature_headers
from sandbox.wirelog import Attempt, Post, WireLog, utc_now

RETRY_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
TIME_LIMIT_S = 5.0
LANES = 4
QUEUE_LENGTH = 2_000
GRACE_S = 2.0
ANSWER_KEPT = 300

HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": "facebookexternalua",
    "Accept": "*/*",
}


class Postman:
    """Takes entries, misbehaves if told so, posts them and records everything in the wire log.

    A contact's posts go one after the other until one fails; that one is then tried again on its
    own while later ones pass it, so order is not kept over failures, as with Meta. A delivery that
    Meta did not sign (forged, unsigned) comes from a stranger and is tried once. `secrets`: the
    app secret that signs deliveries of each object.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        webhook_url: str,
        secrets: Mapping[str, str],
        log: WireLog,
        retry_pauses_s: Sequence[float] = RETRY_PAUSES_S,
    ) -> None:
        self.log = log
        self.misbehaviour = Misbehaviour()
        self._client = client
        self._webhook_url = webhook_url
        self._secrets = dict(secrets)
        self._retry_pauses_s = retry_pauses_s
        self._lanes: list[asyncio.Queue[Post]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: list[Post] = []
        self._held_for: Armed | None = None

    def start(self) -> None:
        """Start the lanes; needs a running event loop."""
        self._lanes = [asyncio.Queue(QUEUE_LENGTH) for _ in range(LANES)]
        for lane in self._lanes:
            self._spawn(self._work(lane))

    async def close(self) -> None:
        """Let what waits in the lanes go out for `GRACE_S`, then stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._drained(), GRACE_S)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def sign_with(self, secret: str, objects: Collection[str]) -> None:
        """From now on this secret signs deliveries of `objects`, repeated ones too."""
        self._secrets.update(dict.fromkeys(objects, secret))

    async def arm(self, kind: Armed, count: int) -> None:
        """Let the next `count` deliveries misbehave so; what was held before goes out first."""
        if kind in ("reorder", "gather"):
            await self.release()
        self.misbehaviour.arm(kind, count)

    async def submit(self, entry: Entry, silent: str | None = None) -> Post:
        """Send an entry, or what the armed misbehaviour makes of it; waits while a lane is full.

        `silent`: why the provider tells nobody of it.
        """
        if silent is not None:
            return self._untold(entry, silent)
        post = self.log.add((entry,), self._next_signature())
        if self.misbehaviour.take("drop"):
            post.note = "never sent"
            self.log.touch(post, "dropped")
        elif self.misbehaviour.take("reorder"):
            await self._hold(post, "reorder")
        elif self.misbehaviour.take("gather"):
            await self._hold(post, "gather")
        else:
            twice = self.misbehaviour.take("double")
            await self._enqueue(post)
            if twice:
                await self.repeat(post, f"#{post.id} once more")
        return post

    async def send(self, entries: tuple[Entry, ...]) -> Post:
        """Send entries of one object in one POST."""
        post = self.log.add(entries, self._next_signature())
        await self._enqueue(post)
        return post

    async def repeat(self, post: Post, note: str | None = None) -> Post:
        """Send the same bytes again, as a delivery of its own."""
        note = note or f"#{post.id} again"
        again = self.log.add(post.entries, post.signature, note, post.body)
        await self._enqueue(again)
        return again

    async def repeat_last(self, count: int) -> list[Post]:
        """Send the last `count` posts again, in order."""
        return [await self.repeat(post) for post in self.log.sent(count)]

    async def rebatch(self, count: int) -> list[Post]:
        """Send the entries of the last `count` posts again, in one POST for each object."""
        batches = []
        for posts in _by_object(self.log.sent(count)):
            entries = tuple(entry for post in posts for entry in post.entries)
            note = "again: " + ", ".join(f"#{post.id}" for post in posts)
            batches.append(self.log.add(entries, note=note))
            await self._enqueue(batches[-1])
        return batches

    async def release(self) -> list[Post]:
        """Send what is held, in reverse or together as it was armed, and hold no more."""
        self.misbehaviour.arm("reorder", 0)
        self.misbehaviour.arm("gather", 0)
        held, self._held = self._held, []
        if held and self._held_for == "gather":
            return [await self._send_together(posts) for posts in _by_object(held)]
        for post in reversed(held):
            post.note = "out of order"
            await self._enqueue(post)
        return held

    def _untold(self, entry: Entry, why: str) -> Post:
        post = self.log.add((entry,), note=f"never sent: {why}")
        self.log.touch(post, "dropped")
        return post

    def _next_signature(self) -> Signature:
        if self.misbehaviour.take("forge"):
            return "forged"
        return "none" if self.misbehaviour.take("unsigned") else "valid"

    async def _hold(self, post: Post, kind: Armed) -> None:
        post.note = "held back"
        self._held.append(post)
        self._held_for = kind
        self.log.touch(post, "held")
        if self.misbehaviour.left(kind) == 0:
            await self.release()

    async def _send_together(self, held: list[Post]) -> Post:
        batch = self.log.add(tuple(entry for post in held for entry in post.entries))
        batch.note = "together: " + ", ".join(f"#{post.id}" for post in held)
        for post in held:
            post.note = f"sent within #{batch.id}"
            self.log.touch(post, "merged")
        await self._enqueue(batch)
        return batch

    async def _enqueue(self, post: Post) -> None:
        first = post.entries[0]
        lane = zlib.crc32(f"{first.page}/{first.psid}".encode()) % LANES
        self.log.touch(post, "queued")
        await self._lanes[lane].put(post)

    async def _work(self, lane: asyncio.Queue[Post]) -> None:
        while True:
            post = await lane.get()
            if not await self._attempt(post) and post.signature == "valid":
                self._spawn(self._retry(post))
            lane.task_done()

    async def _retry(self, post: Post) -> None:
        for pause_s in self._retry_pauses_s:
            post.next_attempt_in_s = pause_s
            self.log.touch(post, "waiting")
            await asyncio.sleep(pause_s)
            post.next_attempt_in_s = None
            if await self._attempt(post):
                return
        self.log.touch(post, "lost")

    async def _attempt(self, post: Post) -> bool:
        secret = self._secrets[post.entries[0].object]
        headers = signature_headers(post.signature, secret, post.body)
        post.header = headers.get(SIGNATURE_HEADER)
        self.log.touch(post, "sending")
        attempt = await self._call(post.body, HEADERS | headers)
        post.attempts.append(attempt)
        if attempt.status == 200:
            self.log.touch(post, "delivered")
        else:
            self.log.touch(post, "waiting" if post.signature == "valid" else "refused")
        return attempt.status == 200

    async def _call(self, body: bytes, headers: dict[str, str]) -> Attempt:
        at, started = utc_now(), time.perf_counter()
        status, answer, error = None, "", None
        try:
            async with asyncio.timeout(TIME_LIMIT_S):
                response = await self._client.post(self._webhook_url, content=body, headers=headers)
            status, answer = response.status_code, response.text[:ANSWER_KEPT]
        except TimeoutError:
            error = f"no answer within {TIME_LIMIT_S:g} s"
        except httpx.HTTPError as failure:
            error = str(failure) or type(failure).__name__
        latency_ms = round((time.perf_counter() - started) * 1000, 2)
        return Attempt(at, status, latency_ms, answer, error)

    async def _drained(self) -> None:
        for lane in self._lanes:
            await lane.join()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _by_object(posts: Sequence[Post]) -> list[list[Post]]:
    """Posts of one object together, since a delivery names one: Pages, Instagram, permissions."""
    found: dict[str, list[Post]] = {}
    for post in posts:
        found.setdefault(post.entries[0].object, []).append(post)
    return list(found.values())
