"""A Page writes: messages, and answers to comments, in private and below them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from connectors.kit.meta.messaging.sending import MESSENGER, request, sent
from connectors.kit.meta.paths import path_of
from connectors.kit.meta.settings import MetaSettings
from contracts.sending import Outgoing, Rules, Sends, Sent, What

if TYPE_CHECKING:
    import httpx


class PageSends(Sends):
    """Sources: https://developers.facebook.com/docs/messenger-platform/reference/send-api and
    https://developers.facebook.com/docs/graph-api/reference/object/comments.
    """

    sending: ClassVar[Mapping[What, Rules]] = MESSENGER
    settings: MetaSettings

    def send(self, client: httpx.Client, outgoing: Outgoing) -> Sent:
        """See `Sends.send`."""
        from connectors.kit.meta.graph import Graph

        graph = Graph(client, self.settings.graph_version, outgoing.account)
        if outgoing.what == "public_reply":
            picture = outgoing.attachments[0].url if outgoing.attachments else None
            path, said = path_of(outgoing.to, "comments"), outgoing.text or None
            return sent(graph.post(path, message=said, attachment_url=picture), "id")
        path = path_of(outgoing.account, "messages")
        return sent(graph.post(path, **request(outgoing)), "message_id")
