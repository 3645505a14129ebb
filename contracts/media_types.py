"""What media are, by their first bytes: what a sender declares is a hint, and browsers guess.

A table of what people send to each other, and no library: those that go by signatures alone are not
kept up (`filetype`), and libmagic is a parser in C for bytes that strangers chose.
"""

import re
from typing import Final

HEAD_BYTES: Final = 64
"""So many are looked at."""

UNKNOWN: Final = "application/octet-stream"

_SIGNATURES: Final = tuple(
    (re.compile(pattern, re.DOTALL), mime_type)
    for pattern, mime_type in (
        (rb"\xff\xd8\xff", "image/jpeg"),
        (rb"\x89PNG\r\n\x1a\n", "image/png"),
        (rb"GIF8[79]a", "image/gif"),
        (rb"RIFF....WEBP", "image/webp"),
        (rb"....ftyp(heic|heix|mif1)", "image/heic"),
        (rb"....ftypavif", "image/avif"),
        (rb"....ftyp(M4A|M4B)", "audio/mp4"),
        (rb"....ftyp3g", "video/3gpp"),
        (rb"....ftypqt", "video/quicktime"),
        (rb"....ftyp", "video/mp4"),
        (rb"\x1aE\xdf\xa3", "video/webm"),
        (rb"OggS", "audio/ogg"),
        (rb"ID3|\xff[\xfb\xf3\xf2]", "audio/mpeg"),
        (rb"\xff[\xf1\xf9]", "audio/aac"),
        (rb"#!AMR", "audio/amr"),
        (rb"RIFF....WAVE", "audio/wav"),
        (rb"fLaC", "audio/flac"),
        (rb"%PDF-", "application/pdf"),
        (rb"PK\x03\x04", "application/zip"),
    )
)
_FAMILIES: Final = {
    "application/zip": ("application/", "application/zip"),
    "video/mp4": ("audio/mp4", "video/"),
    "video/webm": ("audio/webm", "video/"),
    "audio/ogg": ("audio/", "video/ogg"),
}
"""Containers, and how types begin that they may be called by: an office document is a ZIP."""
_ACTIVE: Final = re.compile(r"html|[/+]xml|svg|javascript|ecmascript|x-msdownload|x-sh\b")
"""What runs where it is opened; it is kept as bytes that are nothing."""
_FORM: Final = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,100}")


def mime_type_of(head: bytes, declared: str | None) -> str:
    """The type by the first bytes; where they tell none, or a container, the declared one if it
    goes with them and is harmless. `declared` may have parameters.
    """
    named = (declared or "").partition(";")[0].strip().lower()
    if not _FORM.fullmatch(named) or _ACTIVE.search(named):
        named = UNKNOWN
    found = next((kind for pattern, kind in _SIGNATURES if pattern.match(head)), None)
    if found is None:
        return UNKNOWN if named.startswith(("image/", "video/")) else named
    return named if named.startswith(_FAMILIES.get(found, (found,))) else found


def kind_of(mime_type: str) -> str:
    """An attachment's kind for a type: `image`, `video`, `audio` or `file`."""
    family = mime_type.partition("/")[0]
    return family if family in ("image", "video", "audio") else "file"
