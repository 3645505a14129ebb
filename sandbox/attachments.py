"""What a person can attach in Messenger, in the shape in which Meta reports it."""

from collections.abc import Callable

from sandbox.fields import BadField, Fields, JsonObject, present

LIKE_STICKER_ID = 369239263222822

_MEDIA = {
    "image": "photo.jpg",
    "audio": "voice.wav",
    "video": "clip.webm",
    "file": "menu.pdf",
    "sticker": "sticker.png",
}


def _media(kind: str, media_url: str) -> JsonObject:
    return {"url": f"{media_url}/{_MEDIA[kind]}"}


def _sticker(_kind: str, media_url: str) -> JsonObject:
    return {"url": f"{media_url}/{_MEDIA['sticker']}", "sticker_id": LIKE_STICKER_ID}


def _reel(_kind: str, media_url: str) -> JsonObject:
    url = f"{media_url}/{_MEDIA['video']}"
    return {"url": url, "title": "How our bread is made", "reel_video_id": 1010101010101010}


def _post(_kind: str, media_url: str) -> JsonObject:
    url = f"{media_url}/{_MEDIA['image']}"
    return {"id": "9000000000000001", "url": url, "title": "Fresh from the oven"}


def _share(_kind: str, _media_url: str) -> JsonObject:
    return {"url": "https://example.com/autumn-menu", "title": "Autumn menu"}


def _product(_kind: str, media_url: str) -> JsonObject:
    product = {
        "id": "7000000000000001",
        "retailer_id": "SKU-1",
        "image_url": f"{media_url}/{_MEDIA['image']}",
        "title": "Sourdough loaf",
        "subtitle": "€4.20",
    }
    return {"product": {"elements": [product]}}


def _appointment(_kind: str, _media_url: str) -> JsonObject:
    return {"title": "Tasting", "url": "https://example.com/appointments/17"}


SAMPLES: dict[str, Callable[[str, str], JsonObject]] = {
    "image": _media,
    "audio": _media,
    "video": _media,
    "file": _media,
    "sticker": _sticker,
    "reel": _reel,
    "ig_reel": _reel,
    "post": _post,
    "ig_post": _post,
    "fallback": _share,
    "template": _product,
    "appointment_booking": _appointment,
}


def attachment(given: JsonObject, media_url: str) -> JsonObject:
    """Return `{"type", "payload"}` for a requested attachment.

    Without a `payload` a sample of the type is attached; `"payload": null` stays null, as Meta
    sends a share that it cannot describe. An unknown type needs a payload of its own, or null.
    """
    fields = Fields(given)
    kind = fields.text("type")
    title = fields.optional_text("title")
    if fields.has("payload"):
        payload = fields.optional_object("payload")
    elif kind in SAMPLES:
        payload = SAMPLES[kind](kind, media_url)
    else:
        raise BadField(f"payload is needed for attachments of type {kind}")
    fields.finish()
    return {"type": kind, **present(title=title), "payload": payload}
