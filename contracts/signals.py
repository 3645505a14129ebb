"""What providers tell us about consents, beside the way of messages: verified, not acted on."""

from datetime import datetime

import msgspec


class Told(msgspec.Struct, frozen=True):
    """A provider told us something about somebody's consent at `login`.

    `kind`: a name of ours, see `workers.signals`. `names`: how the provider names whose it is, as
    the kind of name (`user`, `token-prefix`, `token-hash`) and the name. `once`: the same text for
    the same thing told again. `at`: when the provider said it, aware UTC: a later consent is not
    meant. `detail`: more, in words without content.
    """

    login: str
    kind: str
    names: tuple[tuple[str, str], ...]
    once: str
    at: datetime
    detail: str = ""
