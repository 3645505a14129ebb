"""Meta's hosts that get an account's token."""

from typing import Final

GRAPH_HOST: Final = "graph.facebook.com"
MEDIA_HOST: Final = "lookaside.fbsbx.com"
"""Where WhatsApp's media are to be had with the token
(https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media)."""
