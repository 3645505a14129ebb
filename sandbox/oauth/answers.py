"""What a person sent back from a dialog."""

from collections.abc import Collection
from dataclasses import dataclass

from starlette.requests import Request

from sandbox.fields import BadField
from sandbox.oauth.params import body_of, form_pairs


@dataclass(frozen=True)
class Answer:
    """Whether the person went on, and the ticked values of each box's name."""

    agreed: bool
    ticked: dict[str, set[str]]

    def among(self, name: str, offered: Collection[str]) -> set[str]:
        """Return what was ticked under `name`; raise `BadField` for what was not offered."""
        ticked = self.ticked.get(name, set())
        if strange := ticked - set(offered):
            raise BadField(f"{name} was not offered: {', '.join(sorted(strange))}")
        return ticked


async def answer_of(request: Request, names: Collection[str]) -> Answer:
    """Return the answer to a dialog whose boxes have these names. Raises `BadField`."""
    decision, ticked = "", {name: set[str]() for name in names}
    for name, value in form_pairs(await body_of(request)):
        if name == "decision":
            decision = value
        elif name in ticked:
            ticked[name].add(value)
        else:
            raise BadField(f"unknown: {name}")
    if decision not in ("continue", "cancel"):
        raise BadField("decision must be continue or cancel")
    return Answer(decision == "continue", ticked)
