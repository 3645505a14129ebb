"""Settings of the Instagram app: another id and another secret than the Meta app's."""

import msgspec

from contracts.tokens import Secret


class InstagramSettings(
    msgspec.Struct, frozen=True, rename=lambda field: f"INSTAGRAM_{field.upper()}"
):
    """From the Meta app's dashboard: Instagram, API setup with Instagram login."""

    app_id: str
    app_secret: Secret
    app_secret_previous: Secret | None = None
    """Still valid while the secret is being rotated."""

    @property
    def secrets(self) -> tuple[tuple[str, Secret], ...]:
        """Name and secret, in the order in which they are tried."""
        if self.app_secret_previous is None:
            return (("instagram", self.app_secret),)
        return (
            ("instagram", self.app_secret),
            ("instagram-previous", self.app_secret_previous),
        )
