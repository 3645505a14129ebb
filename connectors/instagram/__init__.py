"""Instagram: conversations of a professional account, and comments under its posts."""

from collections.abc import Mapping
from datetime import date
from typing import Any, ClassVar, Final

from connectors.instagram.accounts import FIELDS, ProfessionalAccounts
from connectors.instagram.events import EVENTS
from connectors.instagram.profiles import ProfessionalProfiles
from connectors.instagram.sending import ProfessionalSends
from connectors.instagram.shapes import CHANGES, Update
from connectors.kit.meta.messaging.connector import MessagingConnector
from connectors.kit.meta.messaging.reading import Reader
from connectors.kit.meta.settings import MetaApps
from contracts import content
from contracts.connector import FOR_ALL, Feature

__all__ = ["Instagram"]

_TALK: Final = (
    content.MessageReceived,
    content.MessageSent,
    content.MessageEdited,
    content.MessageDeleted,
    content.MessageReaction,
    content.MessageRead,
    content.PostbackReceived,
    content.ReferralReceived,
    content.OptinChanged,
    content.ConversationHandover,
)
_COMMENTS: Final = (content.CommentCreated,)


class Instagram(MessagingConnector, ProfessionalAccounts, ProfessionalSends, ProfessionalProfiles):
    """The account is the professional account, by whichever login it was connected: so what both
    deliver is one message.

    Source: https://developers.facebook.com/docs/instagram-platform/webhooks.
    """

    name, channel, title = "instagram", "instagram", "Instagram"
    features: ClassVar[tuple[Feature, ...]] = (
        Feature(
            "messages", ("instagram_business_basic", "instagram_business_manage_messages"), _TALK
        ),
        Feature(
            "comments",
            ("instagram_business_basic", "instagram_business_manage_comments"),
            _COMMENTS,
        ),
    )
    events: ClassVar[Mapping[str, Any]] = EVENTS
    emits: ClassVar[tuple[type[content.Content], ...]] = (*_TALK, *_COMMENTS, *FOR_ALL)
    fields: ClassVar[Mapping[str, frozenset[str]]] = FIELDS
    reader: ClassVar[Reader] = Reader(Update, EVENTS, changes=CHANGES)

    def __init__(self, settings: MetaApps) -> None:
        super().__init__(settings)
        self.apps = settings.ids

    def findings(self, today: date) -> tuple[str, ...]:
        apps: MetaApps = self.settings
        if apps.instagram_app_secret and not apps.instagram_app_id:
            return ("INSTAGRAM_APP_ID is not set: echoes of our own sends look like another app's",)
        return ()
