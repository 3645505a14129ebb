"""Content about connections, accounts and the gateway itself."""

from typing import Any, ClassVar, Literal

from msgspec import UNSET, UnsetType

from contracts.content.parts import Content, Json, Time


class _Connection(Content, frozen=True, kw_only=True):
    """A connection changed its state; `reason` says why, for people."""

    reason: str | None = None
    missing_features: tuple[str, ...] | UnsetType = UNSET
    reconnect_url: str | UnsetType = UNSET


class ConnectionActivated(_Connection, frozen=True, kw_only=True):
    """It receives from now on."""

    type: ClassVar[str] = "connection.activated"


class ConnectionDegraded(_Connection, frozen=True, kw_only=True):
    """It works in part: see `missing_features`."""

    type: ClassVar[str] = "connection.degraded"


class ConnectionNeedsReauth(_Connection, frozen=True, kw_only=True):
    """Only the account's owner can mend it, at `reconnect_url`."""

    type: ClassVar[str] = "connection.needs_reauth"


class ConnectionRecovered(_Connection, frozen=True, kw_only=True):
    """It works again."""

    type: ClassVar[str] = "connection.recovered"


class ConnectionPaused(_Connection, frozen=True, kw_only=True):
    """What comes in waits, until it is resumed."""

    type: ClassVar[str] = "connection.paused"


class ConnectionResumed(_Connection, frozen=True, kw_only=True):
    """What waited stands before it, marked as late; what comes in follows at once again."""

    type: ClassVar[str] = "connection.resumed"


class ConnectionRevoked(_Connection, frozen=True, kw_only=True):
    """It has ended, and its tokens are destroyed."""

    type: ClassVar[str] = "connection.revoked"


class ConnectionGap(_Connection, frozen=True, kw_only=True, rename={"since": "from"}):
    """History of `stream` is missing between `from` and `until`, unless `backfilled`."""

    type: ClassVar[str] = "connection.gap"
    stream: str | UnsetType = UNSET
    since: Time | UnsetType = UNSET
    until: Time | UnsetType = UNSET
    backfilled: bool | UnsetType = UNSET


class PrivacyDeletionRequested(Content, frozen=True, kw_only=True):
    """Somebody asked for their data to be deleted; `subject_id` is the provider's id of who."""

    type: ClassVar[str] = "privacy.deletion_requested"
    subject_id: str
    confirmation_code: str


class GatewayAlert(Content, frozen=True, kw_only=True):
    """The gateway needs an operator."""

    type: ClassVar[str] = "gateway.alert"
    alert: str
    detail: str | None = None


class AccountNotice(Content, frozen=True, kw_only=True):
    """What a provider says of the account: restriction, violation, template status, warning.

    `policy_changed` is ours: the privacy policy has another version than its owner accepted.
    """

    type: ClassVar[str] = "account.notice"
    notice: str
    severity: Literal["info", "warning", "critical"]
    detail: str | None = None
    original: Json | UnsetType = UNSET
    """The provider's own object, where it says more than fits above."""


class ProviderUnrecognized(Content, frozen=True, kw_only=True):
    """A kind that this build does not know; `item` is what came, whole.

    `item` is JSON in the provider's shape, or text where it is not JSON.
    """

    type: ClassVar[str] = "provider.unrecognized"
    kind: str
    item: Any


class UnknownContent(Content, frozen=True, kw_only=True):
    """Content of a type, or in a shape, that the reading build does not know."""

    type: ClassVar[str] = ""
    fields: Any
