"""WhatsApp's media: an id tells an address that lasts five minutes; only the token opens it.

Source: WhatsApp Cloud API, "Media". Ids of what people sent live 7 days, of uploads 30.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from sandbox.fields import JsonObject
from sandbox.oauth.clock import Clock
from sandbox.whatsapp.world import Number

SAMPLES = {
    "image": ("photo.jpg", "image/jpeg"),
    "audio": ("voice.wav", "audio/wav"),
    "video": ("clip.webm", "video/webm"),
    "document": ("menu.pdf", "application/pdf"),
    "sticker": ("sticker.png", "image/png"),
}
"""What people send; the real ones are Opus, MP4 and WebP."""
FOLDER = Path(__file__).parent.parent / "static" / "media"
HOST = "lookaside.fbsbx.com"
PATH = "/whatsapp_business/attachments/"
URL_LIFE_S = 300
INBOUND_LIFE_S, UPLOAD_LIFE_S = 7 * 86_400, 30 * 86_400
KEPT = 1_000
FETCH_LIMIT_S, LARGEST_FETCH = 5.0, 16 << 20


@dataclass(frozen=True)
class Medium:
    """A file at WhatsApp, for one number."""

    id: str
    number: Number = field(repr=False)
    mime_type: str
    content: bytes = field(repr=False)
    expires_at: int

    @property
    def digest(self) -> bytes:
        """SHA-256 of the content."""
        return hashlib.sha256(self.content).digest()


class Media:
    """The newest `KEPT` files in memory."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forget all of them."""
        self._all: dict[str, Medium] = {}
        self._addresses: dict[str, tuple[str, int]] = {}

    def sample(self, number: Number, kind: str) -> Medium:
        """Return the file that somebody sends."""
        name, mime_type = SAMPLES[kind]
        return self._add(number, mime_type, (FOLDER / name).read_bytes(), INBOUND_LIFE_S)

    def upload(self, number: Number, mime_type: str, content: bytes) -> Medium:
        """Take a file of the business."""
        return self._add(number, mime_type, content, UPLOAD_LIFE_S)

    async def fetch(self, client: httpx.AsyncClient, number: Number, url: str) -> Medium | None:
        """Fetch a file that the business named by its address; None: it cannot be had."""
        try:
            async with client.stream("GET", url, timeout=FETCH_LIMIT_S) as response:
                if response.status_code != 200:
                    return None
                content = b""
                async for piece in response.aiter_bytes():
                    content += piece
                    if len(content) > LARGEST_FETCH:
                        return None
        except httpx.HTTPError:
            return None
        mime_type = response.headers.get("content-type", "application/octet-stream")
        return self.upload(number, mime_type.partition(";")[0], content)

    def find(self, media_id: str) -> Medium | None:
        """Return a file that is still there."""
        found = self._all.get(media_id)
        return found if found is not None and found.expires_at > self._clock.now() else None

    def drop(self, media_id: str) -> None:
        """Delete a file."""
        self._all.pop(media_id, None)

    def address(self, medium: Medium) -> str:
        """Return a new address of a file."""
        token, until = secrets.token_hex(16), self._clock.now() + URL_LIFE_S
        if len(self._addresses) >= KEPT:
            del self._addresses[next(iter(self._addresses))]
        self._addresses[token] = (medium.id, until)
        return f"https://{HOST}{PATH}?mid={medium.id}&ext={until}&hash={token}"

    def at(self, media_id: str, token: str) -> Medium | None:
        """Return the file at an address that has not expired."""
        known, until = self._addresses.get(token, ("", 0))
        return self.find(media_id) if known == media_id and until > self._clock.now() else None

    def node(self, medium: Medium) -> JsonObject:
        """Return what `GET /{media_id}` answers; the hash is in hex."""
        return {
            "messaging_product": "whatsapp",
            "url": self.address(medium),
            "mime_type": medium.mime_type,
            "sha256": medium.digest.hex(),
            "file_size": len(medium.content),
            "id": medium.id,
        }

    def in_webhook(self, medium: Medium) -> JsonObject:
        """Return what a webhook says of a file; the hash is in base64."""
        return {
            "mime_type": medium.mime_type,
            "sha256": base64.b64encode(medium.digest).decode(),
            "id": medium.id,
            "url": self.address(medium),
        }

    def _add(self, number: Number, mime_type: str, content: bytes, life_s: int) -> Medium:
        media_id = str(10**15 + secrets.randbelow(9 * 10**15))
        made = Medium(media_id, number, mime_type, content, self._clock.now() + life_s)
        if len(self._all) >= KEPT:
            del self._all[next(iter(self._all))]
        self._all[media_id] = made
        return made
