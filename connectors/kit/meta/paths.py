"""Ids that become a part of an address: they come from callers, from webhooks and from Graph."""

import re
from typing import Final

from contracts.errors import Permanent

_PART: Final = re.compile(r"[0-9A-Za-z_]+")


def path_of(id_: str, *below: str) -> str:
    """The id as a part of a path, and what is asked for below it. Raises `Permanent` for what
    would make another path of it, or a query.
    """
    if not _PART.fullmatch(id_):
        raise Permanent("the id is none of Meta's")
    return "/".join((id_, *below))
