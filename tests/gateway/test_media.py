"""Media over HTTP: uploaded, served in parts, fetched by link, and nobody else's."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from contracts.media_types import mime_type_of
from gateway.media.composition import UPLOADS
from gateway.media.ranges import part_of
from storage.media import MEDIA, MediaRows
from storage.media_schema import media
from storage.objects import ObjectStore
from tests.gateway.edges import World
from tests.rig import Rig
from tests.workers.pictures import PNG, Interrupted, picture
from token_vault import media_url
from workers.media_links import LINK_S, MediaLinks


async def upload(
    world: World, body: bytes = PNG, kind: str = "image/png", query: str = "", tenant: str = "acme"
) -> httpx.Response:
    headers = world.headers(tenant=tenant) | {"content-type": kind}
    return await world.client.post(f"/v1/attachments{query}", content=body, headers=headers)


@pytest.fixture
async def acme(world: World) -> World:
    """With the tenants `acme` and `other`."""
    world.rig.connect("acme", "10")
    world.rig.connect("other", "11")
    return world


@pytest.mark.anyio
async def test_what_is_uploaded_is_served_as_it_was(acme: World) -> None:
    made = await upload(acme, query="?name=%D1%84%D0%BE%D1%82%D0%BE%22.png")
    assert made.status_code == 201
    digest = hashlib.sha256(PNG).hexdigest()
    told = made.json()
    assert told == {
        "id": told["id"],
        "kind": "image",
        "mime_type": "image/png",
        "size": len(PNG),
        "sha256": digest,
    }
    got = await acme.get(f"/v1/attachments/{told['id']}", tenant="acme")
    assert (got.status_code, got.content) == (200, PNG)
    headers = got.headers
    assert (headers["etag"], headers["content-type"]) == (f'"{digest}"', "image/png")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("sandbox")
    assert headers["content-disposition"] == (
        "attachment; filename*=UTF-8''%D1%84%D0%BE%D1%82%D0%BE%22.png"
    )


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        (None, (0, 10, True)),
        ("bytes=0-0", (0, 1, False)),
        ("bytes=5-6", (5, 2, False)),
        ("bytes=7-", (7, 3, False)),
        ("bytes=-3", (7, 3, False)),
        ("bytes=-99", (0, 10, False)),
        ("bytes=0-99999999", (0, 10, False)),
        ("bytes=5-2", (0, 10, True)),
        ("bytes=0-1,4-5", (0, 10, True)),
        ("letters=0-1", (0, 10, True)),
        ("bytes=-", (0, 10, True)),
        ("bytes=\u0661-2", (0, 10, True)),
        ("bytes=10-", None),
        ("bytes=-0", None),
    ],
)
def test_what_a_range_asks_for(asked: str | None, part: object) -> None:
    assert part_of(asked, 10) == part


@pytest.mark.anyio
async def test_conditions(acme: World) -> None:
    id_ = (await upload(acme)).json()["id"]
    path, key = f"/v1/attachments/{id_}", acme.headers(tenant="acme")
    etag = (await acme.client.head(path, headers=key)).headers["etag"]

    async def status(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return (await acme.client.get(path, headers=key | named)).status_code

    assert await status(if_none_match=etag) == 304
    assert await status(range="bytes=0-1", if_range=etag) == 206
    got = await acme.client.get(path, headers=key | {"range": "bytes=65535-65536"})
    assert got.content == PNG[65535:65537]
    assert got.headers["content-range"] == f"bytes 65535-65536/{len(PNG)}"
    assert await status(range="bytes=0-1", if_range='"other"') == 200
    assert await status(range=f"bytes={len(PNG)}-") == 416


@pytest.mark.anyio
async def test_it_is_the_tenants_own(acme: World) -> None:
    id_ = (await upload(acme)).json()["id"]
    assert (await acme.get(f"/v1/attachments/{id_}", tenant="other")).status_code == 404
    assert (await acme.get(f"/v1/attachments/{id_}?tenant=other")).status_code == 404
    assert (await acme.get(f"/v1/attachments/{id_}?tenant=acme")).status_code == 200
    assert (await acme.get(f"/v1/attachments/{id_}")).status_code == 200
    assert (await acme.get(f"/v1/attachments/{id_}", role="operator")).status_code == 403


def arrives(rig: Rig) -> None:
    rig.drain(rig.put(picture("https://scontent.xx.fbcdn.net/a.png")))


@pytest.mark.anyio
async def test_what_is_not_there_says_why(acme: World) -> None:
    await asyncio.to_thread(arrives, acme.rig)
    (message,) = acme.rig.messages()
    path = f"/v1/attachments/{message.data.attachments[0].id}"
    waiting = await acme.get(path, tenant="acme")
    assert (waiting.status_code, waiting.json()["type"]) == (
        409,
        "urn:cleverbox:problem:not-stored",
    )
    with acme.rig.database.write() as connection:
        connection.execute(sa.update(media).values(state="failed", reason="other answered 404"))
    failed = await acme.get(path, tenant="acme")
    assert (failed.status_code, failed.json()["detail"]) == (410, "other answered 404")
    assert (await acme.get("/v1/attachments/att_none", tenant="acme")).status_code == 404


@pytest.mark.anyio
async def test_lost_or_changed_bytes_are_not_served(acme: World, tmp_path: Path) -> None:
    id_ = (await upload(acme)).json()["id"]
    (path,) = (tmp_path / "var" / "objects").rglob("med_*")
    sealed = bytearray(path.read_bytes())
    sealed[100] ^= 1
    path.write_bytes(sealed)
    assert (await acme.get(f"/v1/attachments/{id_}", tenant="acme")).status_code == 410
    path.unlink()
    assert (await acme.get(f"/v1/attachments/{id_}", tenant="acme")).status_code == 410


@pytest.mark.anyio
async def test_a_shredded_tenants_media_are_gone(acme: World) -> None:
    id_ = (await upload(acme)).json()["id"]
    acme.rig.vault.destroy_tenant("acme")
    acme.edge.parts.vault.forget("acme")
    assert (await acme.get(f"/v1/attachments/{id_}", tenant="acme")).status_code == 410


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "query", "tenant", "status"),
    [
        (b"", "", "acme", 400),
        (b"x", "", None, 400),
        (b"x", "?tenant=nobody", None, 400),
        (b"x", "?tenant=other", "acme", 403),
        (b"\x89PNG\r\n\x1a\n" + bytes(26 << 20), "", "acme", 413),
    ],
)
async def test_uploads_that_are_refused_leave_nothing(
    acme: World, tmp_path: Path, body: bytes, query: str, tenant: str | None, status: int
) -> None:
    headers = acme.headers(tenant=tenant)
    made = await acme.client.post(f"/v1/attachments{query}", content=body, headers=headers)
    assert made.status_code == status
    rows = MediaRows(acme.rig.database)
    for row in rows.due.take([MEDIA], 10):
        acme.rig.parts.media.run(row)
    assert list((tmp_path / "var" / "objects").rglob("med_*")) == []


@pytest.mark.anyio
async def test_a_large_upload_is_never_in_memory_whole(acme: World) -> None:
    """A sender who is faster than the store waits: no more than it is given is taken by it."""
    piece, given = bytes(1 << 18), 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(64):
            given += len(piece)
            yield piece

    uploading = acme.edge.media.calls._uploading
    uploading._objects = store = Counting(uploading._objects, lambda: given)
    headers = acme.headers(tenant="acme")
    made = await acme.client.post("/v1/attachments", content=pieces(), headers=headers)
    assert (made.status_code, made.json()["size"]) == (201, 64 << 18)
    assert store.most_held <= 2 * len(piece)


class Counting:
    """An object store that compares, at each piece it takes, what was given until then."""

    def __init__(self, objects: ObjectStore, given: Callable[[], int]) -> None:
        self.read, self.delete, self.names = objects.read, objects.delete, objects.names
        self._objects, self._given = objects, given
        self.most_held = 0

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        self._objects.put(name, self._counted(pieces))

    def _counted(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        taken = 0
        for piece in pieces:
            self.most_held = max(self.most_held, self._given() - taken)
            taken += len(piece)
            yield piece


@pytest.mark.anyio
async def test_slow_uploads_hold_up_nothing_that_is_served(acme: World) -> None:
    id_ = (await upload(acme)).json()["id"]
    headers, all_begun, goes_on = acme.headers(tenant="acme"), asyncio.Event(), asyncio.Event()
    begun = 0

    async def slowly() -> AsyncIterator[bytes]:
        nonlocal begun
        begun += 1
        if begun == UPLOADS:
            all_begun.set()
        yield PNG
        await goes_on.wait()
        yield PNG

    async with asyncio.TaskGroup() as group:
        slow = [
            group.create_task(acme.client.post("/v1/attachments", content=one, headers=headers))
            for one in (slowly() for _ in range(UPLOADS))
        ]
        async with asyncio.timeout(10):
            await all_begun.wait()
            assert (await acme.get(f"/v1/attachments/{id_}", tenant="acme")).content == PNG
            assert (await upload(acme)).status_code == 503
        goes_on.set()
    assert [task.result().status_code for task in slow] == [201] * UPLOADS


@pytest.mark.anyio
async def test_an_upload_that_was_ended_leaves_no_object(acme: World) -> None:
    """Its hour was over, and its row at its end, before its object was in its place."""
    uploading = acme.edge.media.calls._uploading

    def end() -> None:
        with acme.rig.database.write() as connection:
            connection.execute(sa.update(media).values(state="ended", object=None))

    objects = uploading._objects
    uploading._objects = Interrupted(objects, end)
    assert (await upload(acme)).status_code == 409
    assert list(objects.names("")) == []


@pytest.mark.anyio
async def test_a_provider_fetches_by_a_link_that_ends(acme: World) -> None:
    id_ = (await upload(acme)).json()["id"]
    rows, vault = MediaRows(acme.rig.database), acme.rig.vault
    told = MediaLinks(rows, vault, "http://gateway").media("acme", id_)
    assert (told.kind, told.mime_type) == ("image", "image/png")
    got = await acme.client.get(told.url)
    assert (got.status_code, got.content) == (200, PNG)
    assert got.headers["cache-control"] == "no-store"
    assert (await acme.client.head(told.url)).headers["content-length"] == str(len(PNG))
    assert id_ not in told.url
    old = MediaLinks(rows, vault, "http://gateway", lambda: 1_700_000_000.0).media("acme", id_)
    row = rows.of_attachment(id_, "acme")
    assert row is not None
    forged = media_url("http://gateway", vault.deployment(), row.id, 4_000_000_000)
    forged = forged.replace("4000000000", "4000000001")
    for url in (
        old.url,
        forged,
        f"{told.url}x",
        "http://gateway/media/",
        "http://gateway/media/a.b",
    ):
        refused = await acme.client.get(url)
        assert refused.status_code == 404
        assert url.endswith("/") or refused.headers["cache-control"] == "no-store"
    assert LINK_S < 86_400


@pytest.mark.parametrize(
    ("head", "declared", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "text/html", "image/jpeg"),
        (b"<html>", "text/html; charset=utf-8", "application/octet-stream"),
        (b"<svg", "image/svg+xml", "application/octet-stream"),
        (b"\0\0\0\x18ftypmp42", "audio/mp4", "audio/mp4"),
        (b"\0\0\0\x18ftypisom", None, "video/mp4"),
        (b"OggS", "audio/ogg; codecs=opus", "audio/ogg"),
        (
            b"PK\3\4",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        (b"PK\3\4", "image/png", "application/zip"),
        (b"%PDF-1.7", "application/x-anything", "application/pdf"),
        (b"plain words", "text/plain", "text/plain"),
        (b"MZ\x90", "image/png", "application/octet-stream"),
        (b"words", "no type\r\nx: y", "application/octet-stream"),
        (b"", None, "application/octet-stream"),
    ],
)
def test_types_are_told_by_bytes_first(head: bytes, declared: str | None, kind: str) -> None:
    assert mime_type_of(head, declared) == kind
