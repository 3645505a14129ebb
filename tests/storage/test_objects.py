"""Both object stores keep the same promises."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from contracts.errors import Misconfigured, NotFound, ObjectsUnavailable
from contracts.settings import Settings
from storage.objects import ObjectStore, open_objects
from storage.objects.s3 import PART_BYTES

NAME = "med_0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["file", "s3"])
def objects(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ObjectStore:
    """An empty store of each kind."""
    if request.param == "file":
        return open_objects(Settings(data_dir=tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    endpoint = request.getfixturevalue("endpoint")
    bucket = f"media-{abs(hash(str(tmp_path)))}"
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=bucket)
    return open_objects(Settings(objects_url=f"s3://{bucket}/a/b?endpoint={endpoint}"))


def test_what_is_put_is_read_whole_and_in_parts(objects: ObjectStore) -> None:
    objects.put(NAME, [b"abc", b"", b"defgh"])
    assert b"".join(objects.read(NAME, 0, 8)) == b"abcdefgh"
    assert b"".join(objects.read(NAME, 2, 3)) == b"cde"
    assert b"".join(objects.read(NAME, 6, 100)) == b"gh"
    assert [found.name for found in objects.names("")] == [NAME]
    assert all(found.at_ms > 1_700_000_000_000 for found in objects.names(""))


def test_it_takes_the_place_of_one_before(objects: ObjectStore) -> None:
    for content in (b"one", b"two"):
        objects.put(NAME, [content])
    assert b"".join(objects.read(NAME, 0, 3)) == b"two"


def test_only_names_that_begin_so_are_told(objects: ObjectStore) -> None:
    for name in (NAME, "med_other", "photo_of_ann"):
        objects.put(name, [b"x"])
    assert [found.name for found in objects.names("med_0")] == [NAME]


def test_deleted_is_gone_and_may_be_deleted_again(objects: ObjectStore) -> None:
    objects.put(NAME, [b"x"])
    for _ in range(2):
        objects.delete(NAME)
    with pytest.raises(NotFound):
        objects.read(NAME, 0, 1)
    assert list(objects.names("")) == []


@pytest.mark.parametrize("size", [10, PART_BYTES + 10])
def test_one_that_breaks_off_leaves_what_was_there(objects: ObjectStore, size: int) -> None:
    def broken() -> Iterator[bytes]:
        yield bytes(size)
        raise KeyError("mine")

    objects.put(NAME, [b"before"])
    with pytest.raises(KeyError, match="mine"):
        objects.put(NAME, broken())
    assert b"".join(objects.read(NAME, 0, 6)) == b"before"
    assert [found.name for found in objects.names("")] == [NAME]


def test_one_of_several_parts_is_whole(objects: ObjectStore) -> None:
    part = os.urandom(PART_BYTES // 2 + 1)
    objects.put(NAME, [part, part, part])
    assert b"".join(objects.read(NAME, 0, 3 * len(part))) == 3 * part


def test_files_and_folders_are_for_us_alone(tmp_path: Path) -> None:
    open_objects(Settings(data_dir=tmp_path)).put(NAME, [b"x"])
    paths = list((tmp_path / "objects").rglob("*"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in paths}
    assert modes == {"ef": 0o700, NAME: 0o600}


def test_a_draft_of_a_killed_process_is_found_and_deleted(tmp_path: Path) -> None:
    files = open_objects(Settings(data_dir=tmp_path))
    pieces = iter([b"x"])

    def killed() -> Iterator[bytes]:
        yield next(pieces)
        (draft,) = files.names("med_")
        assert draft.name.endswith(NAME)
        (tmp_path / "objects" / "ef" / f".draft-{'0' * 16}-{NAME}").write_bytes(b"left")

    files.put(NAME, killed())
    left = next(found.name for found in files.names("") if found.name != NAME)
    files.delete(left)
    assert [found.name for found in files.names("")] == [NAME]


def test_stores_that_are_away_say_so(tmp_path: Path) -> None:
    (tmp_path / "objects").write_text("a file where the folder should be")
    with pytest.raises(ObjectsUnavailable):
        open_objects(Settings(data_dir=tmp_path)).put(NAME, [b"x"])


@pytest.mark.parametrize(
    "limits", ["image", "image=", "image=0", "cat=3", "image=3k", "image=9999"]
)
def test_limits_that_are_none_are_refused(limits: str) -> None:
    with pytest.raises(Misconfigured, match="GATEWAY_MEDIA_LIMITS"):
        Settings(media_limits=limits)


def test_a_limit_takes_the_place_of_the_usual_one() -> None:
    usual, mine = Settings().media_bytes, Settings(media_limits="image=3, file=7").media_bytes
    assert (mine["image"], mine["file"], mine["video"]) == (3 << 20, 7 << 20, usual["video"])


@pytest.mark.parametrize("url", ["http://x", "s3://", "file:relative", "s3://b?endpont=x"])
def test_addresses_that_are_none_are_refused(url: str) -> None:
    with pytest.raises(Misconfigured):
        open_objects(Settings(objects_url=url))
