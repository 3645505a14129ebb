"""The wire log: every webhook of the sandbox, what became of it, and a way to wait for news."""

import asyncio
import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from sandbox.entries import Entry, envelope
from sandbox.fields import JsonObject
from sandbox.signing import Signature, encode

POSTS_KEPT = 3_000

Status = Literal[
    "queued", "sending", "delivered", "waiting", "refused", "lost", "held", "merged", "dropped"
]


def utc_now() -> str:
    """Return the time as RFC 3339, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Attempt:
    """One try: an HTTP status, or an error where no answer came."""

    at: str
    status: int | None
    latency_ms: float
    answer: str
    error: str | None

    def document(self) -> JsonObject:
        """Return the attempt as the API shows it."""
        return dict(vars(self))


@dataclass
class Post:
    """One webhook POST: the exact body, how it is signed, and its attempts."""

    id: int
    entries: tuple[Entry, ...]
    signature: Signature
    note: str | None
    body: bytes
    created_at: str
    header: str | None = None
    status: Status = "queued"
    next_attempt_in_s: float | None = None
    revision: int = 0
    attempts: list[Attempt] = field(default_factory=list)

    def document(self) -> JsonObject:
        """Return the post as the API shows it; `body` is what goes over the wire, as text."""
        return {
            "id": self.id,
            "revision": self.revision,
            "created_at": self.created_at,
            "status": self.status,
            "note": self.note,
            "kinds": [entry.kind for entry in self.entries],
            "pages": sorted({entry.page for entry in self.entries}),
            "contacts": sorted({entry.psid for entry in self.entries}),
            "signature": self.signature,
            "signature_header": self.header,
            "next_attempt_in_s": self.next_attempt_in_s,
            "attempts": [attempt.document() for attempt in self.attempts],
            "body": self.body.decode("ascii"),
        }


class WireLog:
    """The newest posts in memory; every change gets a revision, so that a reader misses none."""

    def __init__(self) -> None:
        self.run = secrets.token_hex(8)
        self.revision = 0
        self._posts: deque[Post] = deque(maxlen=POSTS_KEPT)
        self._ids = 0
        self._news = asyncio.Event()
        self._closed = False

    def add(
        self,
        entries: tuple[Entry, ...],
        signature: Signature = "valid",
        note: str | None = None,
        body: bytes | None = None,
    ) -> Post:
        """Record a post; `body` is given where earlier bytes are sent again."""
        self._ids += 1
        body = encode(envelope(entries)) if body is None else body
        post = Post(self._ids, entries, signature, note, body, utc_now())
        self._posts.append(post)
        self.touch(post)
        return post

    def touch(self, post: Post, status: Status | None = None) -> None:
        """Say that a post changed, and wake those who wait."""
        post.status = status or post.status
        self.revision += 1
        post.revision = self.revision
        self._news.set()
        self._news = asyncio.Event()

    def find(self, post_id: int) -> Post | None:
        """Return a post, if it is still kept."""
        return next((post for post in self._posts if post.id == post_id), None)

    def sent(self, count: int) -> list[Post]:
        """Return up to `count` of the newest posts that reached the wire, oldest first."""
        tried = [post for post in self._posts if post.attempts]
        return tried[-count:] if count > 0 else []

    def since(self, revision: int, limit: int) -> list[Post]:
        """Return up to `limit` posts changed after `revision`, the earliest change first."""
        changed = (post for post in self._posts if post.revision > revision)
        return sorted(changed, key=lambda post: post.revision)[:limit]

    async def wait(self, revision: int, wait_s: float) -> None:
        """Return when something changed after `revision`, after `wait_s`, or at the end."""
        if self.revision > revision or self._closed:
            return
        try:
            await asyncio.wait_for(self._news.wait(), wait_s)
        except TimeoutError:
            return

    def close(self) -> None:
        """Let everyone go who waits, now and later."""
        self._closed = True
        self._news.set()
