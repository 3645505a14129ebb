"""The account's token for Google's APIs: where it may go."""

from typing import Final

HOSTS: Final = ("www.googleapis.com", "gmail.googleapis.com")
"""Where an account's token goes."""
