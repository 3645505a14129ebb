"""Media: fetched once, sealed, said in the feed; ended with everything that ends them."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
import sqlalchemy as sa

from contracts.errors import Gone, LeaseLost, Retryable
from storage.connections import Connections
from storage.due import Taken
from storage.erasing import Erasing
from storage.media import MEDIA, end, stored
from storage.media_schema import media
from storage.revocations import REVOKE, Revocations
from storage.rotations import Rotations
from storage.schema import due
from tests.connectors.kit.loopback import raw
from tests.workers.pictures import PNG, Gallery, Interrupted, connected, gallery, served
from token_vault import new_object_name
from workers.sweeping_media import MediaSweep

DOWN = raw(b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n")
GONE = raw(b"HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n")


def test_a_picture_is_stored_sealed_and_said_once(database_url: str, tmp_path: Path) -> None:
    with gallery(database_url, tmp_path, served(PNG)) as here:
        connected(here, "acme")
        (waiting,) = here.receive()
        (message,) = here.rig.messages()
        assert (waiting.state, message.data.attachments[0].stored) == ("waiting", False)
        here.work()
        (row,) = here.all()
        assert (row.state, row.size, here.opened(row)) == ("stored", len(PNG), PNG)
        (said,) = here.updates()
        its = said.data.attachment
        assert (its.id, its.stored) == (row.attachment, True)
        assert (its.mime_type, its.size) == ("image/png", len(PNG))
        assert its.sha256 == hashlib.sha256(PNG).hexdigest()
        assert said.data.message_id == "m_1"
        assert said.subject == message.subject
        here.make_due()
        here.work()
        assert len(here.updates()) == 1
        assert_nothing_is_told(tmp_path, row.object)


def assert_nothing_is_told(folder: Path, name: str | None) -> None:
    files = [path for path in (folder / "objects").rglob("*") if path.is_file()]
    assert [path.name for path in files] == [name]
    assert [oct(path.stat().st_mode & 0o777) for path in files] == ["0o600"]
    assert not any(PNG[at : at + 32] in files[0].read_bytes() for at in (0, 1000, len(PNG) - 32))


def test_each_tenant_has_its_own_and_a_redelivery_fetches_nothing(
    database_url: str, tmp_path: Path
) -> None:
    with gallery(database_url, tmp_path, served(PNG)) as here:
        connected(here, "acme", "other")
        first, second = here.receive()
        assert first.attachment == second.attachment
        assert first.id != second.id
        here.work()
        assert here.receive() == here.all()
        here.work()
        assert len(here.server.heads) == 2
        assert {m.tenant for m in here.updates()} == {"acme", "other"}


@pytest.mark.parametrize("kind", ["story_mention", "ephemeral", "fallback", "ig_reel"])
def test_what_may_not_be_kept_is_not_fetched(sqlite_url: str, tmp_path: Path, kind: str) -> None:
    with gallery(sqlite_url, tmp_path, served(PNG)) as here:
        connected(here, "acme")
        assert here.receive(kind=kind) == []


def test_what_is_gone_fails_and_says_so(database_url: str, tmp_path: Path) -> None:
    with gallery(database_url, tmp_path, GONE) as here:
        connected(here, "acme")
        here.receive()
        here.work()
        (row,) = here.all()
        assert (row.state, here.objects()) == ("failed", set())
        (said,) = here.updates()
        assert said.data.attachment.stored is False
        assert said.data.failure.code == "permanent"
        assert said.data.failure.title == row.reason == "other answered 404"


def test_what_is_away_is_tried_again_for_days_and_then_given_up(
    database_url: str, tmp_path: Path
) -> None:
    with gallery(database_url, tmp_path, DOWN) as here:
        connected(here, "acme")
        here.receive()
        (taken,) = here.take()
        with pytest.raises(Retryable):
            here.rig.parts.media.run(taken)
        assert here.updates() == []
        with here.rig.database.write() as connection:
            connection.execute(sa.update(media).values(created_at_ms=1))
        here.rig.parts.media.run(taken)
        assert [m.data.failure.code for m in here.updates()] == ["retryable"]


def test_what_is_too_large_fails_and_nothing_of_it_stays(sqlite_url: str, tmp_path: Path) -> None:
    with gallery(sqlite_url, tmp_path, served(bytes(6 << 20))) as here:
        connected(here, "acme")
        here.receive(kind="sticker")
        here.work()
        assert [m.data.failure.title for m in here.updates()] == ["more than 5 MiB"]
        assert here.objects() == set()


def test_erasing_the_contact_deletes_what_is_stored(database_url: str, tmp_path: Path) -> None:
    with gallery(database_url, tmp_path, served(PNG)) as here:
        connected(here, "acme")
        here.receive()
        here.work()
        (row,) = here.all()
        assert row.contact is not None
        Erasing(here.rig.database).contact("acme", row.contact, 1 << 50)
        (row,) = here.all()
        with pytest.raises(Gone):
            stored(row)
        here.work()
        (row,) = here.all()
        assert (row.state, row.sealed, here.objects()) == ("ended", b"", set())
        here.make_due()
        here.work()
        assert here.all() == []


def test_erased_while_it_is_fetched_nothing_stays(database_url: str, tmp_path: Path) -> None:
    """The object is written, and its row ended, before the fetch commits."""
    with gallery(database_url, tmp_path, served(PNG)) as here:
        connected(here, "acme")
        (row,) = here.receive()
        assert row.contact is not None
        contact = row.contact
        here.rig.parts.media._fetcher._objects = Interrupted(
            here.rig.parts.objects,
            lambda: Erasing(here.rig.database).contact("acme", contact, 1 << 50),
        )
        here.work()
        assert ([r.state for r in here.all()], here.objects()) == (["ended"], set())
        assert here.updates() == []


def test_killed_between_object_and_row_it_is_fetched_again(
    database_url: str, tmp_path: Path
) -> None:
    """The row names the object that the killed one left: the next worker deletes it."""
    with gallery(database_url, tmp_path, served(PNG)) as here:
        connected(here, "acme")
        (row,) = here.receive()
        fetcher, objects = here.rig.parts.media._fetcher, here.rig.parts.objects
        fetcher._objects = Interrupted(objects, killed)
        with pytest.raises(SystemExit):
            here.work()
        (left,) = here.all()
        assert (left.state, here.objects()) == ("waiting", {left.object})
        fetcher._objects = objects
        here.make_due()  # its lease is over
        here.work()
        (row,) = here.all()
        assert (here.opened(row), here.objects(), len(here.updates())) == (PNG, {row.object}, 1)


def killed() -> None:
    raise SystemExit


class Overtaken(Interrupted):
    """An object store where something happens when all bytes of the first object are there, and
    the object is not: as when its writer's machine stood still.
    """

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        whole, then, self._then = list(pieces), self._then, lambda: None
        then()
        self._objects.put(name, whole)


def test_a_writer_that_is_overtaken_replaces_nothing(database_url: str, tmp_path: Path) -> None:
    """Its object comes after the one that was stored meanwhile."""
    with gallery(database_url, tmp_path, served(PNG)) as here:
        connected(here, "acme")
        here.receive()
        (slow,) = here.take()

        def overtake() -> None:
            with here.rig.database.write() as connection:  # the lease is over
                connection.execute(sa.update(due).where(due.c.kind == MEDIA).values(due_at_ms=1))
            here.work()

        fetcher, objects = here.rig.parts.media._fetcher, here.rig.parts.objects
        fetcher._objects = Overtaken(objects, overtake)
        with pytest.raises(LeaseLost):
            here.rig.parts.media.run(slow)
        (row,) = here.all()
        assert (row.state, here.opened(row), here.objects()) == ("stored", PNG, {row.object})
        assert len(here.updates()) == 1


def test_a_revoked_connection_keeps_no_media(database_url: str, tmp_path: Path) -> None:
    with gallery(database_url, tmp_path, served(PNG)) as here:
        (made,) = connected(here, "acme")
        here.receive()
        Connections(here.rig.database).set_status(made.id, "revoking", "")
        here.work()
        assert ([r.state for r in here.all()], here.updates()) == (["ended"], [])
        assert here.server.heads == []


def test_revoking_deletes_what_is_stored_and_the_receipt_says_so(
    database_url: str, tmp_path: Path
) -> None:
    with gallery(database_url, tmp_path, served(PNG)) as here:
        (made,) = connected(here, "acme")
        here.receive()
        here.work()
        revocations = Revocations(here.rig.database)
        ordered = revocations.order(made.id, reason="", by="test")
        for row in here.rows.due.take([REVOKE], 1):
            here.rig.parts.revoker.run(row)
        (step,) = (one for one in revocations.get(ordered.id).steps if one.step == "retention")
        assert "1 media removed" in step.detail
        here.work()
        assert ([r.state for r in here.all()], here.objects()) == (["ended"], set())


def test_they_end_when_their_time_is_over(database_url: str, tmp_path: Path) -> None:
    with gallery(database_url, tmp_path, served(PNG)) as here:
        connected(here, "acme")
        here.receive()
        here.work()
        here.make_due()
        here.work()
        assert [r.state for r in here.all()] == ["stored"]  # asked for too early
        with here.rig.database.write() as connection:
            connection.execute(sa.update(media).values(created_at_ms=1))
        here.make_due()
        here.work()
        assert ([r.state for r in here.all()], here.objects()) == (["ended"], set())


def test_a_tenant_that_was_shredded_is_not_fetched_for(sqlite_url: str, tmp_path: Path) -> None:
    with gallery(sqlite_url, tmp_path, served(PNG)) as here:
        connected(here, "acme")
        here.receive()
        here.rig.vault.destroy_tenant("acme")
        here.work()
        assert ([r.state for r in here.all()], here.server.heads) == (["ended"], [])


def test_who_was_too_slow_leaves_it_to_the_next(sqlite_url: str, tmp_path: Path) -> None:
    """The lease is asked for before the object is whole."""
    with gallery(sqlite_url, tmp_path, served(PNG)) as here:
        connected(here, "acme")
        (row,) = here.receive()
        (taken,) = here.take()
        late = Taken(MEDIA, row.id, taken.ticket + 1, None, 0, 0)
        with pytest.raises(Exception, match="media"):
            here.rig.parts.media.run(late)
        assert (here.objects(), here.updates()) == (set(), [])
        here.rig.parts.media.run(taken)
        assert len(here.updates()) == 1


def test_objects_of_ours_that_no_row_names_are_swept_up(database_url: str, tmp_path: Path) -> None:
    """Others may keep theirs in the same place: files of people, and another deployment's."""
    with gallery(database_url, tmp_path, served(PNG)) as here:
        connected(here, "acme")
        here.receive()
        here.work()
        (row,) = here.all()
        objects = here.rig.parts.objects
        keys = here.rig.vault.deployment()
        orphan, draft = new_object_name(keys), f".draft-{'0' * 16}-{new_object_name(keys)}"
        others = {"photo_of_ann", f"med_{'0' * 32}", f"med_{'0' * 32}_{'1' * 32}"}
        others.add(f".draft-{'0' * 16}-med_{'0' * 32}_{'1' * 32}")
        for name in (orphan, draft, *others):
            objects.put(name, [b"x"])
        sweep = MediaSweep(here.rows, objects, here.rig.vault)
        assert sweep.remove_orphans() == 0  # it may be a row's that is written just now
        for path in (tmp_path / "objects").rglob("*"):
            os.utime(path, (1, 1))
        assert (sweep.remove_orphans(), here.objects()) == (2, {row.object} | others)


def test_what_was_ended_and_not_looked_at_is_hurried(database_url: str, tmp_path: Path) -> None:
    """The process that ended it died before it could ask for more."""
    with gallery(database_url, tmp_path, served(PNG)) as here:
        connected(here, "acme")
        here.receive()
        here.work()
        with here.rig.database.write() as connection:
            end(connection, media.c.tenant == "acme", "erased")
        here.work()
        assert here.objects() != set()
        here.rig.parts.upkeep.run()
        here.work()
        assert here.objects() == set()


def test_a_rotation_seals_the_row_anew_and_leaves_the_object(
    database_url: str, tmp_path: Path
) -> None:
    with gallery(database_url, tmp_path, served(PNG)) as here:
        connected(here, "acme")
        here.receive()
        here.work()
        (before,) = here.all()
        (object_,) = (tmp_path / "objects").rglob("med_*")
        written = object_.stat().st_ino, object_.stat().st_mtime_ns
        Rotations(here.rig.database).order(["acme"])
        here.rig.parts.resealer.run()
        (after,) = here.all()
        assert before.sealed[:5] != after.sealed[:5]
        assert here.opened(after) == PNG
        assert (object_.stat().st_ino, object_.stat().st_mtime_ns) == written


def test_a_message_without_media_costs_no_row(sqlite_url: str, tmp_path: Path) -> None:
    with gallery(sqlite_url, tmp_path, served(PNG)) as here:
        connected(here, "acme")
        assert Gallery.receive(here, kind="location") == []
