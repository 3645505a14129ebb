"""Keeps media: fetches them, says so in the feed, and deletes them when their time is over."""

from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from typing import Final, NamedTuple

import httpx
import msgspec
import structlog
from msgspec import UNSET

from connectors.kit.transport.observing import Observer
from connectors.kit.transport.transport import Limits, Transport
from contracts.connector import Connector, Event
from contracts.content import Attachment, AttachmentUpdated, Failure
from contracts.errors import (
    GatewayError,
    KeyDestroyed,
    LeaseLost,
    NotFound,
    Overtaken,
    Permanent,
    Reauthorize,
    Retryable,
    TooLarge,
    Unavailable,
)
from contracts.gates import Keeper
from contracts.media import KeepsMedia, Media
from contracts.media_types import mime_type_of
from contracts.settings import Settings
from storage.connections import Connection, Connections
from storage.database import now_ms
from storage.drain import DrainStore
from storage.due import Taken
from storage.media import MediaRow, MediaRows, Outcome, Settled
from storage.media_schema import ENDED, FAILED, STORED, WAITING
from storage.objects import ObjectStore
from storage.objects.intake import Intake
from storage.turns import RECEIVING, Turn
from token_vault import (
    MediaDetails,
    ObjectKey,
    TenantKeys,
    Vault,
    new_object_key,
    new_object_name,
    open_media,
    seal_media,
)
from workers.calling import Accounts
from workers.normalizing import Normalizer, utc

log = structlog.get_logger()

MEDIA_S: Final = 300.0
"""How long one fetch may take."""
MEDIA_AT_ONCE: Final = 8
"""How many a worker makes at the same time."""
PATIENCE: Final = timedelta(days=3)
"""How long it is tried: URLs and ids of providers live for days at most."""
TOMBSTONE: Final = timedelta(days=30)
"""How long it is said of what ended that it was here."""
_DAY_MS: Final = 86_400_000
_FAILURES: Final = (Permanent, Reauthorize, NotFound, TooLarge)
"""What trying again does not help against."""


def media_transport(settings: Settings, observer: Observer, keeper: Keeper) -> Transport:
    """One for media alone: their bodies are large, and slow ones hold up nothing else."""
    return Transport(
        allow=settings.allowed_networks,
        sandbox_url=settings.sandbox_url,
        observer=observer,
        keeper=keeper,
        limits=Limits(total_s=MEDIA_S, body_bytes=max(settings.media_bytes.values()) + 1),
    )


class Kept(NamedTuple):
    """What became of a fetch: the details with the object's key, and its size, or why not."""

    details: MediaDetails
    size: int | None = None
    failure: Failure | None = None


class Fetcher:
    """Brings media into the object store."""

    def __init__(
        self,
        objects: ObjectStore,
        transport: Transport,
        accounts: Accounts,
        connectors: Mapping[str, Connector],
        limits: Mapping[str, int],
    ) -> None:
        """`transport` takes bodies as large as the largest of `limits`, bytes by kind; `accounts`
        lends its clients out with tokens.
        """
        self._objects, self._transport, self._accounts = objects, transport, accounts
        self._keepers = {n: one for n, one in connectors.items() if isinstance(one, KeepsMedia)}
        self._limits = limits

    def fetch(
        self,
        media: MediaRow,
        name: str,
        details: MediaDetails,
        connection: Connection,
        intake: Intake,
    ) -> MediaDetails:
        """Fetch and seal as the object `name`; the details of what is stored now. Raises provider's
        errors, `TooLarge`, `Unavailable` and what the intake's `keep` raises.
        """
        asked = details.media
        if asked is None:
            raise Permanent("there is nothing to fetch")
        key = new_object_key()
        sealing = ObjectKey(key, media.tenant, media.id)
        with closing(self._opened(asked, connection)) as answer:
            declared = asked.mime_type or answer.headers.get("content-type")
            self._objects.put(name, sealing.seal(intake.pieces(answer.iter_bytes())))
        if asked.sha256 not in (None, intake.sha256):
            raise Retryable("the bytes are not those that the provider named")
        attachment = msgspec.structs.replace(
            details.attachment,
            stored=True,
            mime_type=mime_type_of(intake.head, declared),
            size=intake.size,
            sha256=intake.sha256,
        )
        return msgspec.structs.replace(details, attachment=attachment, key=key, media=None)

    def limit(self, attachment: Attachment) -> int:
        """How many bytes may come."""
        return self._limits.get(attachment.kind, self._limits["file"])

    def drop(self, name: str | None) -> None:
        """Delete the object, if there is one. Raises `Unavailable`."""
        if name is not None:
            self._objects.delete(name)

    def _opened(self, asked: Media, connection: Connection) -> httpx.Response:
        keeper = self._keepers.get(connection.provider)
        if keeper is None:
            raise Retryable(f"provider {connection.provider} is off, or keeps no media")
        if keeper.media_need_token:
            client = self._accounts.client_for(connection, job="media", only=keeper.media_hosts)
        else:
            client = self._transport.client(only=keeper.media_hosts)
        return keeper.open(client, asked)


class MediaKeeper:
    """The job of a media row's due row. Safe to share between threads."""

    def __init__(
        self,
        rows: MediaRows,
        store: DrainStore,
        connections: Connections,
        fetcher: Fetcher,
        normalizer: Normalizer,
        vault: Vault,
        channels: Mapping[str, str],
        *,
        days: int,
    ) -> None:
        """`channels`: by provider. `days`: how long media are kept."""
        self._rows, self._due, self._store = rows, rows.due, store
        self._connections, self._fetcher = connections, fetcher
        self._normalizer, self._vault, self._channels = normalizer, vault, channels
        self._keep_ms = days * _DAY_MS

    def run(self, row: Taken) -> None:
        """Move the row on. Raises `Retryable` and `Unavailable`, then it comes due again;
        `LeaseLost`.
        """
        media = self._rows.get(row.key)
        if media is None:
            self._due.remove(row)
        elif media.state == WAITING:
            self._fetch(row, media)
        elif media.state == ENDED:
            self._rows.remove(row)
        elif media.state in (STORED, FAILED) and self._ends_ms(media) > now_ms():
            self._due.finish(row, self._ends_ms(media))
        else:
            self._end(row, media, "its time is over")

    def _fetch(self, row: Taken, media: MediaRow) -> None:
        connection = self._connections.get(media.connection or "")
        if connection.status not in RECEIVING:
            if connection.status == "paused":
                raise Retryable("the connection is paused")
            self._end(row, media, "the connection was revoked")
            return
        try:
            keys = self._vault.tenant(media.tenant)
        except KeyDestroyed:
            self._end(row, media, "erased")
            return
        named = self._named(row, media)
        kept = self._kept(row, named, connection, open_media(keys, media.id, media.sealed))
        self._settle(row, named, connection, keys, kept)

    def _named(self, row: Taken, media: MediaRow) -> MediaRow:
        """With a new object's name; an earlier attempt's object goes. Who lost the row meanwhile
        finds that out before it deletes, so what is deleted is nobody's any more.
        """
        name = new_object_name(self._vault.deployment())
        self._rows.begin_fetch(row, name)
        self._fetcher.drop(media.object)
        return media._replace(object=name)

    def _kept(
        self, row: Taken, media: MediaRow, connection: Connection, details: MediaDetails
    ) -> Kept:
        name = media.object or ""
        limit = self._fetcher.limit(details.attachment)
        intake = Intake(limit, lambda: self._due.renew(row))
        try:
            fetched = self._fetcher.fetch(media, name, details, connection, intake)
            kept = Kept(fetched, intake.size)
        except _FAILURES as error:
            kept = _failed(details, error)
        except (Retryable, Unavailable) as error:
            if now_ms() - media.created_at_ms < PATIENCE // timedelta(milliseconds=1):
                raise
            kept = _failed(details, error)
        if kept.failure is not None:
            self._fetcher.drop(name)  # it may have come that far
        return kept

    def _settle(
        self,
        row: Taken,
        media: MediaRow,
        connection: Connection,
        keys: TenantKeys,
        kept: Kept,
    ) -> None:
        """Write down what became of it, and say it in the feed: both or none."""
        outcome = Outcome(
            state=FAILED if kept.failure else STORED,
            sealed=seal_media(keys, media.id, kept.details),
            size=kept.size,
            reason=(kept.failure.title or "") if kept.failure else "",
            due_at_ms=self._ends_ms(media),
        )
        settled = Settled(row, connection.id, outcome)
        at_ms = now_ms()
        event = Event(
            _said(kept), f"attachment:{media.attachment}", utc(at_ms), kept.details.contact
        )
        channel = self._channels[connection.provider]
        append = self._normalizer.append(event, at_ms, channel, connection)
        try:
            self._store.write(Turn(first=settled.commit, appends=[append]))
        except Overtaken:
            raise Retryable("the connection was paused meanwhile") from None
        except LeaseLost:
            self._fetcher.drop(media.object)  # no row says STORED of it, and none ever will
            now = self._rows.get(media.id)
            if now is None or now.state == WAITING:
                raise
            self._end(row, now, now.reason)
            return
        log.info("media.settled", media=media.id, state=outcome.state, size=kept.size)

    def _end(self, row: Taken, media: MediaRow, reason: str) -> None:
        """Nobody is given it from now on, then its object is deleted, then that is written down:
        what is cut off in between goes on here.
        """
        self._rows.begin_end(row, reason)
        self._fetcher.drop(media.object)
        self._rows.ended(row, now_ms() + TOMBSTONE // timedelta(milliseconds=1))

    def _ends_ms(self, media: MediaRow) -> int:
        return media.created_at_ms + self._keep_ms


def _failed(details: MediaDetails, error: GatewayError) -> Kept:
    """The texts of our errors have no content."""
    return Kept(details, failure=Failure(code=error.reason, title=str(error)))


def _said(kept: Kept) -> AttachmentUpdated:
    details = kept.details
    if details.conversation is None:
        raise ValueError("what is not of a conversation does not wait to be fetched")
    return AttachmentUpdated(
        conversation=details.conversation,
        message_id=details.message_id,
        attachment=details.attachment,
        failure=kept.failure or UNSET,
    )
