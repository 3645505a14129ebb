"""Settings of the Google OAuth client."""

import msgspec

from contracts.tokens import Secret


class GoogleSettings(msgspec.Struct, frozen=True, rename=lambda field: f"GOOGLE_{field.upper()}"):
    """The OAuth client (type: web application) by which customers consent."""

    client_id: str
    client_secret: Secret
