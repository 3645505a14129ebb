"""What somebody filled in at a Page's lead form: webhooks tell its id alone.

Source: https://developers.facebook.com/docs/marketing-api/guides/lead-ads/retrieving.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from connectors.kit.meta.paths import path_of
from connectors.kit.meta.settings import MetaSettings
from contracts.content import Content, LeadCreated
from contracts.errors import Retryable
from contracts.lookups import Completes

if TYPE_CHECKING:
    import httpx


class _Field(msgspec.Struct):
    name: str
    values: list[str] = []


class _Lead(msgspec.Struct):
    field_data: list[_Field] = []


class Leads(Completes):
    """Answers alone are asked for: what Meta knows of the ad needs scopes that nobody gave."""

    completes: ClassVar[tuple[type[Content], ...]] = (LeadCreated,)
    settings: MetaSettings

    def complete(self, client: httpx.Client, account: str, said: Content) -> Content:
        """See `Completes.complete`. A field's name is the form's own, as its business wrote it."""
        from connectors.kit.meta.graph import Graph

        assert isinstance(said, LeadCreated)  # noqa: S101 - the contract's
        graph = Graph(client, self.settings.graph_version, account)
        fields: dict[str, tuple[str, ...]] = {}
        for one in _read(graph.get(path_of(said.lead_id), fields="field_data")).field_data:
            fields[one.name] = (*fields.get(one.name, ()), *one.values)
        return msgspec.structs.replace(said, fields=fields)


def _read(told: dict[str, Any]) -> _Lead:
    try:
        return msgspec.convert(told, _Lead, strict=False)
    except msgspec.ValidationError:
        raise Retryable("Graph answered with something else than a lead") from None
