"""Each provider's settings."""

from collections.abc import Iterator
from datetime import UTC, datetime

from contracts.login import OAuthLogin, RedirectLogin, redirect_uri
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
    for name, login in registry.logins.items():
        yield _login(f"login {name}", login, built.settings.public_url)
    for name, missing in registry.logins_off.items():
        yield warn(f"login {name}", "off", f"set {missing} to switch it on")


def _login(name: str, login: OAuthLogin, public_url: str) -> Finding:
    """What must be registered with the provider for it."""
    if login.lacks:
        text = "on for tokens that are added by hand; people cannot connect"
        return warn(name, text, f"set {login.lacks} to switch its dialog on")
    if isinstance(login, RedirectLogin):
        uri = redirect_uri(public_url, login.name)
        return ok(name, f"on; the redirect URI to register with the provider is {uri}")
    return ok(name, f"on; the domain to allow for the provider's script is that of {public_url}")
