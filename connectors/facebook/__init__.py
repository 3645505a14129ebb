"""Facebook Pages: Messenger conversations of a Page, comments under its posts, and its leads."""

from collections.abc import Mapping
from datetime import date
from typing import Any, ClassVar, Final

from connectors.facebook.accounts import FIELDS, Pages
from connectors.facebook.changes import CHANGES
from connectors.facebook.events import EVENTS
from connectors.facebook.leads import Leads
from connectors.facebook.profiles import PageProfiles
from connectors.facebook.sending import PageSends
from connectors.facebook.shapes import Update
from connectors.kit.meta.messaging.connector import MessagingConnector
from connectors.kit.meta.messaging.reading import Reader
from connectors.kit.meta.settings import MetaSettings
from contracts import content
from contracts.connector import FOR_ALL, Feature

__all__ = ["Facebook"]

_TO_LIST: Final = ("pages_show_list", "pages_read_engagement")
"""What Graph wants before it tells somebody's Pages and their names."""

_TALK: Final = (
    content.MessageReceived,
    content.MessageSent,
    content.MessageEdited,
    content.MessageReaction,
    content.MessageDelivered,
    content.MessageRead,
    content.PostbackReceived,
    content.ReferralReceived,
    content.OptinChanged,
    content.OrderReceived,
    content.FeedbackReceived,
    content.AccountLinkChanged,
    content.ConversationHandover,
)
_COMMENTS: Final = (content.CommentCreated, content.CommentEdited, content.CommentDeleted)


class Facebook(MessagingConnector, Pages, PageSends, Leads, PageProfiles):
    """Source: https://developers.facebook.com/docs/messenger-platform/webhooks."""

    name, channel, title = "facebook", "messenger", "Facebook Pages and Messenger"
    features: ClassVar[tuple[Feature, ...]] = (
        Feature("messages", (*_TO_LIST, "pages_manage_metadata", "pages_messaging"), _TALK),
        Feature(
            "comments", (*_TO_LIST, "pages_manage_metadata", "pages_read_user_content"), _COMMENTS
        ),
        Feature("comment_replies", (*_TO_LIST, "pages_manage_engagement"), usual=False),
        Feature(
            "leads",
            (*_TO_LIST, "pages_manage_metadata", "leads_retrieval"),
            (content.LeadCreated,),
            usual=False,
        ),
    )
    events: ClassVar[Mapping[str, Any]] = EVENTS
    emits: ClassVar[tuple[type[content.Content], ...]] = (
        *_TALK,
        *_COMMENTS,
        content.LeadCreated,
        *FOR_ALL,
    )
    fields: ClassVar[Mapping[str, frozenset[str]]] = FIELDS

    reader: ClassVar[Reader] = Reader(Update, EVENTS, changes=CHANGES)

    def __init__(self, settings: MetaSettings) -> None:
        super().__init__(settings)
        self.apps = frozenset(filter(None, [settings.app_id]))

    def findings(self, today: date) -> tuple[str, ...]:
        settings: MetaSettings = self.settings
        return tuple(settings.findings(today))
