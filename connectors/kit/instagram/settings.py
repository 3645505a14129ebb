"""Settings of the Instagram app: another id and another secret than the Meta app's."""

import msgspec

from contracts.tokens import Secret


class InstagramSettings(
    msgspec.Struct, frozen=True, rename=lambda field: f"INSTAGRAM_{field.upper()}"
):
    """From the Meta app's dashboard: Instagram, API setup with Instagram login."""

    app_id: str
    app_secret: Secret
