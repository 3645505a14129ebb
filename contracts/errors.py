"""The one tree of expected errors: a `reason` for metrics, and a text that holds no content."""

from typing import ClassVar


class GatewayError(Exception):
    """Base of every error that we expect; `reason` is a metric label, never content."""

    reason: ClassVar[str] = "error"


# -- what callers did wrong, or asked for and cannot have ---------------------------------------


class InvalidInput(GatewayError):
    """A request or argument that cannot be understood; the text says which part and why."""

    reason = "invalid"


class NotFound(GatewayError):
    """The named thing does not exist, or is not the caller's to see."""

    reason = "not-found"


class Conflict(GatewayError):
    """The request contradicts what is already there."""

    reason = "conflict"


class BeingRevoked(Conflict):
    """What it needs is being ended by a revocation just now, or was ended meanwhile."""

    reason = "being-revoked"


class NotConnected(Conflict):
    """The connection cannot call out as it is: paused, revoked, its owner needed, without token."""

    reason = "not-connected"


class Paused(NotConnected):
    """The connection is paused: nobody calls out for it until it is resumed."""

    reason = "paused"


class NotSendable(GatewayError):
    """It is well-formed, but cannot be sent so; the text says why."""

    reason = "not-sendable"


class FeatureMissing(NotSendable):
    """The connection was not given the feature that this needs."""

    reason = "feature-missing"


class KeyReused(NotSendable):
    """The idempotency key came before, with another request."""

    reason = "idempotency-key-reused"


class Unauthenticated(GatewayError):
    """No API key, or one that is unknown or revoked."""

    reason = "unauthenticated"


class Forbidden(GatewayError):
    """The API key's role or tenant does not allow this."""

    reason = "forbidden"


class BadSignature(GatewayError):
    """A delivery that its sender did not sign, or signed with another secret."""

    reason = "bad-signature"


class MalformedDelivery(GatewayError):
    """A correctly signed delivery whose envelope cannot be split."""

    reason = "malformed-delivery"


class NotStored(Conflict):
    """Media that are still to be fetched, or are being uploaded."""

    reason = "not-stored"


class Gone(GatewayError):
    """It was here, or could not be had; it never comes again. The text says why."""

    reason = "gone"


class TooLarge(GatewayError):
    """A body beyond the cap."""

    reason = "too-large"


# -- cursors ------------------------------------------------------------------------------------


class CursorError(GatewayError):
    """A cursor that cannot be followed; `resume` is the cursor to go on from."""

    def __init__(self, message: str, *, resume: str) -> None:
        super().__init__(message)
        self.resume = resume


class LogRestored(CursorError):
    """The cursor's row is not the one it saw: the log was restored from a backup."""

    reason = "log-restored"


class CursorExpired(CursorError):
    """The cursor is older than what the log still keeps."""

    reason = "cursor-expired"


# -- our own parts ------------------------------------------------------------------------------


class Unavailable(GatewayError):
    """A part that we need is away; the same call may succeed later."""

    reason = "unavailable"


class StoreUnavailable(Unavailable):
    """The database is away or too slow; nothing was stored."""

    reason = "store-unavailable"


class ObjectsUnavailable(Unavailable):
    """The object store is away or too slow."""

    reason = "objects-unavailable"


class LeaseLost(GatewayError):
    """Another worker holds the lease by now; what was computed must be thrown away."""

    reason = "lease-lost"


class Overtaken(LeaseLost):
    """A connection was paused or resumed since it was computed: to be computed anew."""

    reason = "overtaken"


class Misconfigured(GatewayError):
    """A setting is missing or wrong; the text names it."""

    reason = "misconfigured"


# -- vault --------------------------------------------------------------------------------------


class VaultError(GatewayError):
    """Base of the vault's errors; none of them carries content or key material."""

    reason = "vault"


class KeyUnavailable(VaultError, Unavailable):
    """The key store or the key-encryption key is away; cached keys have run out."""

    reason = "key-unavailable"


class KeyDestroyed(VaultError):
    """The key was shredded: what it sealed is gone for good."""

    reason = "key-destroyed"


class UnknownKey(VaultError):
    """Sealed under a key that this key store never had."""

    reason = "unknown-key"


class Tampered(VaultError):
    """The sealed bytes, or what they are bound to (purpose, tenant, id), were changed."""

    reason = "tampered"


# -- providers: what `tenacity` policies and connections act on -----------------------------------


class ProviderError(GatewayError):
    """A call to a provider that did not succeed; `code` is the provider's own name for why.

    The text is ours: a provider's would bring ids, names and tokens with it.
    """

    reason = "provider"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class Retryable(ProviderError):
    """Temporary; try again, not before `after_s` seconds when it is given."""

    reason = "retryable"

    def __init__(
        self, message: str, *, after_s: float | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.after_s = after_s


class Throttled(Retryable):
    """A rate limit; `scope` names what it closes: an asset's id, `app`, or `pair`, which is one
    account and one person.
    """

    reason = "throttled"

    def __init__(
        self,
        message: str,
        *,
        scope: str,
        after_s: float | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, after_s=after_s, code=code)
        self.scope = scope


class TokenRefused(Retryable):
    """The access token is not accepted, too old or withdrawn: refresh the grant, which tells."""

    reason = "token-refused"


class Reauthorize(ProviderError):
    """The grant no longer works; only the account's owner can mend it."""

    reason = "reauthorize"


class Permanent(ProviderError):
    """The provider refused for good; the same call will never succeed."""

    reason = "permanent"


class PermissionMissing(Permanent):
    """The grant works, but does not allow this call; its owner would have to consent to more."""

    reason = "permission-missing"


class WindowClosed(Permanent):
    """The time in which the contact may be written to is over; only the contact can open it."""

    reason = "window-closed"


class AddressRefused(Permanent):
    """The host's address is none that we connect to: private, local, reserved; see the guard."""

    reason = "address-refused"


class OutcomeUnknown(ProviderError):
    """The call may or may not have taken effect; it must not be repeated blindly."""

    reason = "outcome-unknown"
