"""What people do at Facebook itself: remove the app, change the password, lose a role.

The app hears of it as from Meta: by `permissions` webhooks and by signed requests.
"""

from collections.abc import Awaitable, Callable, Mapping

from sandbox.delivery import Postman
from sandbox.entries import permission_change
from sandbox.facebook.state import AGENT_TASKS, Facebook
from sandbox.facebook.world import TASKS, Page, Person
from sandbox.fields import BadField, Fields, JsonObject
from sandbox.oauth.callbacks import Callbacks
from sandbox.oauth.signed_request import form

FORM = "application/x-www-form-urlencoded"

Act = Callable[[Person, Fields], Awaitable[JsonObject]]


class FacebookActions:
    """Each action returns what the app was told."""

    def __init__(
        self,
        facebook: Facebook,
        postman: Postman,
        callbacks: Callbacks,
        deauthorize_url: str,
        deletion_url: str,
    ) -> None:
        self._facebook, self._postman, self._callbacks = facebook, postman, callbacks
        self._deauthorize_url, self._deletion_url = deauthorize_url, deletion_url
        self._acts: Mapping[str, Act] = {
            "remove-app": self._remove_app,
            "request-deletion": self._request_deletion,
            "revoke-permission": self._revoke_permission,
            "change-password": self._change_password,
            "lose-role": self._lose_role,
            "gain-role": self._gain_role,
        }

    async def act(self, action: str, person_id: str, fields: Fields) -> JsonObject:
        """Let a person do something. Raises `BadField`."""
        person = self._facebook.world.people.get(person_id)
        if person is None:
            raise BadField(f"there is nobody {person_id} at Facebook")
        if action not in self._acts:
            raise BadField(f"action must be one of {', '.join(self._acts)}")
        return await self._acts[action](person, fields)

    async def _remove_app(self, person: Person, fields: Fields) -> JsonObject:
        """Settings, "Apps and websites", remove: tokens die, webhook and callback are sent."""
        fields.finish()
        if person.grant is None:
            raise BadField(f"{person.name} has not connected the app")
        granted = sorted(person.grant.granted)
        pages = self._targets(person)
        self._facebook.revoke(person)
        delivery = await self._tell(person, granted, pages)
        body = form(self._facebook.app.secret, person.id)
        told = await self._callbacks.post("deauthorize", self._deauthorize_url, body, FORM)
        return {"deauthorize": told.document(), "delivery": delivery}

    async def _request_deletion(self, person: Person, fields: Fields) -> JsonObject:
        """After the removal: "Send request"."""
        fields.finish()
        if person.grant is not None or not person.was_connected:
            raise BadField(f"{person.name} must connect the app and remove it first")
        body = form(self._facebook.app.secret, person.id)
        told = await self._callbacks.post("data_deletion", self._deletion_url, body, FORM)
        return {"data_deletion": told.document()}

    async def _revoke_permission(self, person: Person, fields: Fields) -> JsonObject:
        permission = fields.text("permission")
        fields.finish()
        if not person.allows(permission):
            raise BadField(f"{person.name} has not granted {permission}")
        pages = self._targets(person)
        self._facebook.revoke(person, permission)
        return {"delivery": await self._tell(person, [permission], pages)}

    async def _change_password(self, person: Person, fields: Fields) -> JsonObject:
        fields.finish()
        self._facebook.tokens.end(person, 460)
        return {}

    async def _lose_role(self, person: Person, fields: Fields) -> JsonObject:
        page = self._page(fields)
        fields.finish()
        page.roles.pop(person.id, None)
        return {}

    async def _gain_role(self, person: Person, fields: Fields) -> JsonObject:
        page = self._page(fields)
        tasks = tuple(fields.optional_texts("tasks") or AGENT_TASKS)
        fields.finish()
        if strange := set(tasks) - set(TASKS):
            raise BadField(f"tasks are among {', '.join(TASKS)}, not {', '.join(sorted(strange))}")
        page.roles[person.id] = tasks
        return {}

    async def _tell(self, person: Person, permissions: list[str], pages: list[str]) -> int:
        """Post the `permissions` webhook, all changes in one delivery; return its number."""
        seconds = self._facebook.clock.now()
        entries = tuple(
            permission_change(person.id, name, "revoked", pages, seconds) for name in permissions
        )
        return (await self._postman.send(entries)).id

    def _targets(self, person: Person) -> list[str]:
        pages = self._facebook.world.pages.values()
        return [page.id for page in pages if person.runs(page)]

    def _page(self, fields: Fields) -> Page:
        page_id = fields.text("page")
        if page_id not in self._facebook.world.pages:
            raise BadField(f"there is no Page {page_id}")
        return self._facebook.world.pages[page_id]
