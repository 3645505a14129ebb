"""Settings of the Google OAuth client."""

from typing import Final

import msgspec

from contracts.tokens import Secret

SIGN_IN: Final = frozenset({"openid", "email"})
"""Asked for with every consent: they tell whose it is."""


class GoogleSettings(msgspec.Struct, frozen=True, rename=lambda field: f"GOOGLE_{field.upper()}"):
    """The OAuth client (type: web application) by which customers consent."""

    client_id: str
    client_secret: Secret
