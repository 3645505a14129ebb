"""`gateway check`: looks at everything that can be wrong, and says what to do about it."""

from collections.abc import Iterator, Sequence
from typing import Final

import typer

from contracts.errors import GatewayError
from gateway.cli.doctor import broker, database, machine, objects, pooler, providers, public, vault
from gateway.cli.doctor.finding import Check, Finding, fault
from gateway.cli.output import write_json
from gateway.cli.parts import Parts, parts

CHECKS: Final[Sequence[tuple[str, Check]]] = (
    ("settings", machine.names),
    ("public address", public.address),
    ("connect pages", public.returning),
    ("robots.txt", public.robots),
    ("providers", providers.settings),
    ("keyring", vault.keyring),
    ("kms", vault.kms),
    ("key store", vault.store),
    ("database", database.reachable),
    ("pooler", pooler.passed),
    ("clock", database.clock),
    ("durability", database.durability),
    ("migrations", database.migrations),
    ("partitions", database.partitions),
    ("messages", vault.messages),
    ("broker", broker.reachable),
    ("objects", objects.usable),
    ("disk", machine.disk),
    ("lag", database.lag),
    ("unrouted", database.unrouted),
    ("parked", database.parked),
)
"""What is looked at, in the order of the lines."""
_COLORS: Final = {"ok": "green", "warn": "yellow", "fault": "red"}


def check_all(*, as_json: bool) -> int:
    """Print every finding; returns the exit code: 1 when there is a fault."""
    with parts() as built:
        found: list[Finding] = []
        for finding in examine(built):
            found.append(finding)
            if not as_json:
                typer.echo(_line(finding))
    if as_json:
        write_json([finding._asdict() for finding in found])
    return 1 if any(finding.level == "fault" for finding in found) else 0


def examine(built: Parts, checks: Sequence[tuple[str, Check]] = CHECKS) -> Iterator[Finding]:
    """The findings of all checks. An expected error is a fault of the check that met it."""
    for name, look in checks:
        try:
            yield from look(built)
        except GatewayError as error:
            yield fault(name, str(error))


def _line(finding: Finding) -> str:
    mark = typer.style(f"{finding.level:<6}", fg=_COLORS[finding.level])
    advice = f"; {finding.advice}" if finding.advice else ""
    return f"{mark} {finding.check:<15} {finding.detail}{advice}"
