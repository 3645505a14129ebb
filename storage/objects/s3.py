"""Objects in a bucket of S3, or of what speaks like it."""

import contextlib
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Final

from contracts.errors import NotFound, ObjectsUnavailable
from storage.objects.base import Found

PART_BYTES: Final = 8 << 20
"""What is held of an object while it is written: one part of a multipart upload."""
_PIECE: Final = 65_536
_ABSENT: Final = {"NoSuchKey", "404"}


class S3:
    """Credentials are those of the AWS environment. A key is the prefix and the object's name."""

    def __init__(
        self, bucket: str, prefix: str, endpoint: str | None = None, region: str | None = None
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._where = {"endpoint_url": endpoint, "region_name": region}
        self._lock = threading.Lock()
        self._made: Any = None

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """See `ObjectStore.put`. Of an upload that a killed process left, the parts stay until the
        bucket's rule for such ends them.
        """
        from boto3.s3.transfer import TransferConfig

        source = _Source(pieces)
        config = TransferConfig(
            multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, use_threads=False
        )
        with _translated(source):
            self._client().upload_fileobj(source, self._bucket, self._prefix + name, Config=config)

    def read(self, name: str, start: int, length: int) -> Iterator[bytes]:
        """See `ObjectStore.read`."""
        which = {"Bucket": self._bucket, "Key": self._prefix + name}
        with _translated():
            answer = self._client().get_object(**which, Range=f"bytes={start}-{start + length - 1}")
        return _read(answer["Body"])

    def delete(self, name: str) -> None:
        """See `ObjectStore.delete`."""
        with _translated():
            self._client().delete_object(Bucket=self._bucket, Key=self._prefix + name)

    def names(self, beginning: str) -> Iterator[Found]:
        """See `ObjectStore.names`."""
        with _translated():
            pages = self._client().get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + beginning):
                for one in page.get("Contents", ()):
                    at_ms = int(one["LastModified"].timestamp() * 1000)
                    yield Found(one["Key"].removeprefix(self._prefix), at_ms)

    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                import boto3
                from botocore.config import Config

                retries = {"mode": "standard", "max_attempts": 2}
                config = Config(connect_timeout=3, read_timeout=20, retries=retries)
                self._made = boto3.session.Session().client("s3", **self._where, config=config)
            return self._made


class _Source:
    """Pieces in the shape of a file that is read once; remembers what they raised."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._held = bytearray()
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            while size < 0 or len(self._held) < size:
                self._held += next(self._pieces)
        except StopIteration:
            pass
        except BaseException as error:
            self.error = error
            raise
        count = len(self._held) if size < 0 else size
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken


def _read(body: Any) -> Iterator[bytes]:
    with contextlib.closing(body):
        while True:
            with _translated():
                piece: bytes = body.read(_PIECE)
            if not piece:
                return
            yield piece


@contextlib.contextmanager
def _translated(source: _Source | None = None) -> Iterator[None]:
    """Only the name of what went wrong is told: texts quote keys and addresses."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError, HTTPClientError) as error:
        if source is not None and source.error is not None:
            raise source.error from None
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
        if code in _ABSENT:
            raise NotFound("no such object") from None
        raise ObjectsUnavailable(f"objects: {code or type(error).__name__}") from None
