"""What Meta's providers share: the callback URL, its signature, the app's settings."""
