"""What happens outside of conversations: leads, comments, and any other change, on request."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from sandbox.delivery import Postman
from sandbox.entries import Entry
from sandbox.facebook.leads import Lead
from sandbox.facebook.state import Facebook
from sandbox.fields import BadField, Fields, JsonObject
from sandbox.instagram.accounts import Accounts
from sandbox.people import Object

FORM = "777000000000001"
ANSWERS = {"full_name": ["Anna Schmidt"], "email": ["anna@example.com"]}


@dataclass
class Comment:
    """A comment under a post of a Page or an account (`asset`)."""

    id: str
    asset: str
    kind: Object
    author: str
    post: str
    at_s: int
    is_answered: bool = False
    """In private: that goes once."""
    answers: int = 0


class Changes:
    """Sends what a Page's or an account's `changes` tell, to who is subscribed."""

    def __init__(
        self,
        facebook: Facebook,
        instagram: Accounts,
        postman: Postman,
        why_silent: Callable[[Entry], str | None],
    ) -> None:
        self._facebook, self._instagram = facebook, instagram
        self._postman, self._why_silent = postman, why_silent
        self.comments: dict[str, Comment] = {}
        """Those that were told of, which may be answered."""

    async def answered(self, comment: Comment, text: str) -> str:
        """The business writes below a comment; a Page's webhook tells of it. Return its id."""
        comment.answers += 1
        id_ = f"{comment.id}{comment.answers:02}"
        now = self._facebook.clock.now()
        if comment.kind == "page":
            author: JsonObject = {"id": comment.asset, "name": comment.asset}
            value: JsonObject = {
                "item": "comment",
                "verb": "add",
                "comment_id": id_,
                "parent_id": comment.id,
            }
            value |= {"post_id": comment.post, "from": author, "message": text, "created_time": now}
            await self._tell("page", comment.asset, "feed", value)
        return id_

    async def lead(self, request: Request, fields: Fields) -> JsonObject:
        """POST `{fields?: {name: [value…]}, form?}`: somebody fills in a lead form of the Page."""
        page = self._page(request)
        answers = fields.optional_object("fields") or dict(ANSWERS)
        form = fields.text("form", FORM)
        fields.finish()
        world = self._facebook.world
        number = str(880_000_000_000_001 + len(world.leads))
        now = self._facebook.clock.now()
        lead = Lead(number, page, form, now, {name: _texts(it) for name, it in answers.items()})
        world.leads[lead.id] = lead
        return {"id": lead.id, "delivery": await self._tell("page", page, "leadgen", lead.value())}

    async def of_page(self, request: Request, fields: Fields) -> JsonObject:
        """POST `{field, value}`: any change of a Page, such as a comment in `feed`."""
        return await self._change("page", self._page(request), fields)

    async def of_account(self, request: Request, fields: Fields) -> JsonObject:
        """POST `{field, value}`: any change of an Instagram account, such as `comments`."""
        account = str(request.path_params["id"])
        if account not in self._instagram.all:
            raise BadField("there is no such account")
        return await self._change("instagram", account, fields)

    async def _change(self, kind: Object, asset: str, fields: Fields) -> JsonObject:
        field, value = fields.text("field"), fields.optional_object("value") or {}
        fields.finish()
        self._remember(kind, asset, value)
        return {"delivery": await self._tell(kind, asset, field, value)}

    def _remember(self, kind: Object, asset: str, value: JsonObject) -> None:
        """What has an author and a post is a comment."""
        id_, author = value.get("comment_id") or value.get("id"), value.get("from")
        media = value.get("media")
        post = value.get("post_id") or (media.get("id") if isinstance(media, dict) else None)
        if id_ and post and isinstance(author, dict) and author.get("id"):
            now = self._facebook.clock.now()
            comment = Comment(str(id_), asset, kind, str(author["id"]), str(post), now)
            self.comments[comment.id] = comment

    async def _tell(self, kind: Object, asset: str, field: str, value: JsonObject) -> int:
        """Send one change; return the number of its delivery."""
        item: JsonObject = {"field": field, "value": value}
        entry = Entry(asset, asset, field, "changes", self._facebook.clock.now(), item, kind)
        return (await self._postman.submit(entry, self._why_silent(entry))).id

    def _page(self, request: Request) -> str:
        page = str(request.path_params["id"])
        if page not in self._facebook.world.pages:
            raise BadField("there is no such Page")
        return page


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return value
    raise BadField("fields: names with a text, or with a list of texts")
