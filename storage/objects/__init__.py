"""Objects: sealed bytes too large for the database, by a name that tells nothing."""

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from contracts.errors import Misconfigured
from contracts.settings import Settings
from storage.objects.base import Found, ObjectStore

__all__ = ["Found", "ObjectStore", "open_objects"]

SETTING = "GATEWAY_OBJECTS_URL"


def open_objects(settings: Settings) -> ObjectStore:
    """The store that `settings` name; connects to nothing yet. Raises `Misconfigured`."""
    if settings.objects_url is None:
        return _files(settings.data_dir.absolute() / "objects")
    parts = urlsplit(settings.objects_url)
    if parts.scheme == "file":
        return _files(Path(parts.netloc + parts.path))
    if parts.scheme == "s3" and parts.netloc:
        return _s3(parts.netloc, parts.path.strip("/"), dict(parse_qsl(parts.query)))
    raise Misconfigured(f"{SETTING} must be file:path or s3://bucket/prefix")


def _files(folder: Path) -> ObjectStore:
    from storage.objects.files import Files

    if not folder.is_absolute():
        raise Misconfigured(f"{SETTING}: file: and an absolute path")
    return Files(folder)


def _s3(bucket: str, prefix: str, options: dict[str, str]) -> ObjectStore:
    from storage.objects.s3 import S3

    if unknown := options.keys() - {"endpoint", "region"}:
        raise Misconfigured(f"{SETTING}: unknown option {min(unknown)}")
    return S3(bucket, prefix, options.get("endpoint"), options.get("region"))
