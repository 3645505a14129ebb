"""Trouble on request, for the next calls of a host or a path."""

import json
from dataclasses import dataclass
from typing import Literal, get_args

from sandbox.fields import BadField, Fields, JsonObject
from sandbox.misbehave import count_of

Kind = Literal["unavailable", "throttled", "limited", "used", "slow", "lost"]

KINDS: tuple[Kind, ...] = get_args(Kind)
LONGEST_S = 120
MOST_RULES = 100


@dataclass
class Trouble:
    """What the next `left` calls meet.

    `unavailable`: a 5xx, nothing is done. `throttled`: the provider's way to say "too many" to the
    app, `limited`: to one `asset`. `used`: served, and told with Meta's usage headers that
    `percent` of a limit are used up, of the `asset` or without one of the app; calls go through
    again after `minutes`.
    `slow`: served after `seconds`. `lost`: done, but answered with a 502.
    """

    kind: Kind
    host: str | None
    path: str | None
    method: str | None
    left: int
    seconds: int
    asset: str | None = None
    percent: int = 100
    minutes: int = 0

    def headers(self) -> dict[str, str]:
        """Return Meta's usage headers (Graph API, "Rate limits")."""
        if self.kind not in ("limited", "used"):
            return {}
        counts = {"call_count": self.percent, "total_time": 5, "total_cputime": 5}
        if self.asset is None:
            return {"x-app-usage": json.dumps(counts)}
        of_asset = {"type": "pages", **counts, "estimated_time_to_regain_access": self.minutes}
        return {"x-business-use-case-usage": json.dumps({self.asset: [of_asset]})}

    def meets(self, method: str, host: str, path: str) -> bool:
        """Whether this call is meant; `path` is the beginning of it, without the API's version."""
        return (
            self.host in (None, host)
            and self.method in (None, method)
            and (self.path is None or path.startswith(self.path))
        )


class Troubles:
    """What is armed, in the order in which it was asked for."""

    def __init__(self) -> None:
        self._armed: list[Trouble] = []

    def arm(self, fields: Fields) -> None:
        """Arm `{kind, host?, path?, method?, count?, seconds?, asset?, percent?, minutes?}`.

        Raises `BadField`.
        """
        name = fields.choice("kind", KINDS, "")
        kind = next(one for one in KINDS if one == name)
        trouble = Trouble(
            kind,
            fields.optional_text("host"),
            fields.optional_text("path"),
            fields.optional_text("method"),
            count_of(fields),
            fields.integer("seconds", 10, least=1, most=LONGEST_S),
            fields.optional_text("asset"),
            fields.integer("percent", 100, least=0, most=1000),
            fields.integer("minutes", 0, least=0, most=1440),
        )
        if kind == "limited" and trouble.asset is None:
            raise BadField("asset: whose limit it is")
        fields.finish()
        if len(self._armed) >= MOST_RULES:
            raise BadField(f"at most {MOST_RULES} at a time")
        self._armed.append(trouble)

    def take(self, method: str, host: str, path: str) -> Trouble | None:
        """Return what this call meets, and count it."""
        for trouble in self._armed:
            if trouble.meets(method, host, path):
                trouble.left -= 1
                if trouble.left == 0:
                    self._armed.remove(trouble)
                return trouble
        return None

    def clear(self) -> None:
        """Behave again."""
        self._armed.clear()

    def document(self) -> list[JsonObject]:
        """Return what is armed."""
        return [dict(vars(trouble)) for trouble in self._armed]
