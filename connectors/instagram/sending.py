"""A professional account writes: messages, and answers to comments, in private and below them.

Calls go to graph.instagram.com, which facebook-sdk cannot reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from connectors.kit.meta.messaging.sending import INSTAGRAM, request, sent
from connectors.kit.meta.paths import path_of
from connectors.kit.meta.settings import MetaApps
from contracts.sending import Outgoing, Rules, Sends, Sent, What

if TYPE_CHECKING:
    import httpx


class ProfessionalSends(Sends):
    """Sources: https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/messaging-api
    and https://developers.facebook.com/docs/instagram-platform/comment-moderation.
    """

    sending: ClassVar[Mapping[What, Rules]] = INSTAGRAM
    settings: MetaApps

    def send(self, client: httpx.Client, outgoing: Outgoing) -> Sent:
        """See `Sends.send`."""
        if outgoing.what == "public_reply":
            said = {"message": outgoing.text}
            return sent(self._post(client, outgoing, path_of(outgoing.to, "replies"), said), "id")
        asked = request(outgoing)
        answer = self._post(client, outgoing, path_of(outgoing.account, "messages"), asked)
        return sent(answer, "message_id")

    def _post(
        self, client: httpx.Client, outgoing: Outgoing, path: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        from connectors.kit.instagram.calls import API
        from connectors.kit.meta.errors import error_of, refusal
        from connectors.kit.transport.failures import read
        from connectors.kit.transport.refusals import unclear

        response = client.post(f"{API}/{self.settings.meta_graph_version}/{path}", json=body)
        if response.status_code != 200 or error_of(response.content):
            raise refusal(read(response), outgoing.account)
        try:
            return msgspec.json.decode(response.content, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            text = "Instagram answered with something else than JSON"
            raise unclear(text, repeatable=False) from None
