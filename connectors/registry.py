"""Every provider, in one line each; a provider without its settings is off."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from connectors.facebook import Facebook
from connectors.kit.meta.endpoint import MetaEndpoint
from connectors.kit.meta.settings import MetaSettings
from contracts.connector import Connector, Endpoint, Provider
from contracts.settings import load

PROVIDERS: Final = (Provider(connector=Facebook, settings=MetaSettings, endpoint=MetaEndpoint),)


class Registry(msgspec.Struct, frozen=True):
    """Endpoints by path and connectors by name, of the providers that are on."""

    endpoints: Mapping[str, Endpoint]
    connectors: Mapping[str, Connector]
    off: Mapping[str, str]
    """Provider → the setting that is missing."""


def build(environ: Mapping[str, str], providers: Sequence[Provider] = PROVIDERS) -> Registry:
    """Raises `Misconfigured` for a setting that is there and wrong."""
    endpoints: dict[Any, Endpoint] = {}
    connectors: dict[str, Connector] = {}
    off: dict[str, str] = {}
    for provider in providers:
        name = provider.connector.name
        if missing := _missing(provider.settings, environ):
            off[name] = missing
            continue
        settings = load(provider.settings, environ)
        connectors[name] = provider.connector(settings)
        if provider.endpoint not in endpoints:
            endpoints[provider.endpoint] = provider.endpoint(settings)
    by_path = {endpoint.path: endpoint for endpoint in endpoints.values()}
    return Registry(endpoints=by_path, connectors=connectors, off=off)


def _missing(settings: type[msgspec.Struct], environ: Mapping[str, str]) -> str | None:
    for field in msgspec.structs.fields(settings):
        name = field.encode_name
        if field.required and not (environ.get(name) or environ.get(f"{name}_FILE")):
            return name
    return None
