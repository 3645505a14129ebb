"""Where providers tell of consents: Meta's callbacks, Google's security events, and their page."""
