"""What an account's owner does at Instagram itself; the app hears of it by signed requests."""

from collections.abc import Awaitable, Callable, Mapping

from sandbox.fields import BadField, Fields, JsonObject
from sandbox.instagram.accounts import Account, Accounts
from sandbox.oauth.callbacks import Callbacks
from sandbox.oauth.signed_request import form

FORM = "application/x-www-form-urlencoded"

Act = Callable[[Account, Fields], Awaitable[JsonObject]]


class InstagramActions:
    """Each action returns what the app was told; signed with the Instagram app's secret."""

    def __init__(
        self, accounts: Accounts, callbacks: Callbacks, deauthorize_url: str, deletion_url: str
    ) -> None:
        self._accounts, self._callbacks = accounts, callbacks
        self._deauthorize_url, self._deletion_url = deauthorize_url, deletion_url
        self._acts: Mapping[str, Act] = {
            "remove-app": self._remove_app,
            "request-deletion": self._request_deletion,
            "change-password": self._change_password,
            "unsubscribe": self._unsubscribe,
        }

    async def act(self, action: str, account_id: str, fields: Fields) -> JsonObject:
        """Let an account's owner do something. Raises `BadField`."""
        account = self._accounts.find(account_id)
        if account is None:
            raise BadField(f"there is no Instagram account {account_id}")
        if action not in self._acts:
            raise BadField(f"action must be one of {', '.join(self._acts)}")
        return await self._acts[action](account, fields)

    async def _remove_app(self, account: Account, fields: Fields) -> JsonObject:
        fields.finish()
        if account.granted is None:
            raise BadField(f"{account.username} has not connected the app")
        self._accounts.revoke(account)
        body = form(self._accounts.app.secret, account.id)
        told = await self._callbacks.post("deauthorize", self._deauthorize_url, body, FORM)
        return {"deauthorize": told.document()}

    async def _request_deletion(self, account: Account, fields: Fields) -> JsonObject:
        fields.finish()
        if account.granted is not None or not account.was_connected:
            raise BadField(f"{account.username} must connect the app and remove it first")
        body = form(self._accounts.app.secret, account.id)
        told = await self._callbacks.post("data_deletion", self._deletion_url, body, FORM)
        return {"data_deletion": told.document()}

    async def _change_password(self, account: Account, fields: Fields) -> JsonObject:
        fields.finish()
        self._accounts.revoke(account, 460)
        return {}

    async def _unsubscribe(self, account: Account, fields: Fields) -> JsonObject:
        """The subscription vanishes, and nobody is told."""
        fields.finish()
        account.subscribe(False)
        return {}
