"""What is kept of media, sealed: it opens for their row alone."""

import secrets
from typing import Final

import msgspec

from contracts.content import Attachment, Conversation
from contracts.media import Media
from contracts.tokens import Secret
from token_vault.clear import ClearJson
from token_vault.tenant_keys import DeploymentKeys, Purpose, TenantKeys


class MediaDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """`attachment`: as the feed has it. `key`: the object's own, once there is one.

    Of what came in, also the message and whom it concerns, and where it is to be fetched.
    """

    attachment: Attachment
    key: Secret | None = None
    message_id: str = ""
    conversation: Conversation | None = None
    contact: str | None = None
    media: Media | None = None


def media_id(keys: TenantKeys, attachment_id: str) -> str:
    """The row's id: it tells nothing to whoever has not the tenant's key."""
    return f"med_{keys.hash('media', attachment_id).hex()}"


def objects_of(keys: DeploymentKeys) -> str:
    """How the names of this deployment's objects begin, and nobody else's."""
    return f"med_{keys.hash('objects').hex()}_"


def new_object_name(keys: DeploymentKeys) -> str:
    """Of one attempt to write an object: no two write the same, whoever of them is late."""
    return f"{objects_of(keys)}{secrets.token_hex(16)}"


def seal_media(keys: TenantKeys, id: str, details: MediaDetails) -> bytes:  # noqa: A002
    """`details` under the tenant's data key, for the row `id`; `open_media` undoes it."""
    return keys.seal(Purpose.MEDIA, id.encode(), _json.encode(details))


def open_media(keys: TenantKeys, id: str, sealed: bytes) -> MediaDetails:  # noqa: A002
    """Raises `Tampered | UnknownKey`."""
    return _json.decode(keys.open(Purpose.MEDIA, id.encode(), sealed))


_json: Final = ClearJson(MediaDetails, "media")
