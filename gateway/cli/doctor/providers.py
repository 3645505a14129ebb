"""Each provider's settings."""

from collections.abc import Iterator
from datetime import UTC, datetime

from contracts.login import redirect_uri
from gateway.cli.doctor.finding import Finding, ok, warn
from gateway.cli.parts import Parts


def settings(built: Parts) -> Iterator[Finding]:
    """Which providers are on, what the others lack, and what each has to say of its settings."""
    from connectors.registry import build

    registry = build(built.environ)
    today = datetime.now(UTC).date()
    for name, connector in registry.connectors.items():
        said = connector.findings(today)
        for text in said:
            yield warn(name, text)
        if not said:
            yield ok(name, "on")
    for name, missing in registry.off.items():
        yield warn(name, "off", f"set {missing} to switch it on")
    for name in registry.logins:
        uri = redirect_uri(built.settings.public_url, name)
        yield ok(f"login {name}", f"on; the redirect URI to register with the provider is {uri}")
    for name, missing in registry.logins_off.items():
        yield warn(f"login {name}", "off", f"set {missing} to switch it on")
