"""The time by which tokens and codes age; it can be set forward, so that nobody has to wait."""

import time


class Clock:
    """Seconds since 1970, ahead of the machine's by what it was set forward."""

    def __init__(self) -> None:
        self.ahead_s = 0

    def now(self) -> int:
        """Return the time in whole seconds."""
        return int(time.time()) + self.ahead_s

    def forward(self, seconds: int) -> None:
        """Let `seconds` pass at once."""
        self.ahead_s += seconds

    def reset(self) -> None:
        """Go with the machine's time again."""
        self.ahead_s = 0
