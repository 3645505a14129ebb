"""The broker that carries nudges and jobs."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from contracts.errors import Unavailable
from gateway.cli.doctor.finding import Finding, fault, ok
from gateway.cli.parts import Parts


def reachable(built: Parts) -> Iterator[Finding]:
    """Whether the broker answers. Without it messages still arrive, only later."""
    from workers.queue import Queue

    kind = urlsplit(built.settings.broker).scheme
    try:
        Queue(built.settings.broker).check()
    except Unavailable as error:
        advice = "start it, or mend GATEWAY_BROKER_URL; until then workers look every second or so"
        yield fault("broker", f"{kind} does not answer ({error})", advice)
    else:
        yield ok("broker", f"{kind} answers")
