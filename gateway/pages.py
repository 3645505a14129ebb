"""Pages for people and programs that read about the gateway: documentation, schemas, robots.txt."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from contracts.content import TYPES
from contracts.schemas import schema
from gateway.operations import Operation

ROBOTS: Final = """\
# Providers obey this file before they deliver, so it must allow their callback paths.
User-agent: *
Allow: /
"""
_HOUR: Final = {"cache-control": "max-age=3600", "x-content-type-options": "nosniff"}


class Pages:
    """Rendered when first asked for, and kept."""

    def __init__(self, operations: Sequence[Operation], public_url: str) -> None:
        self._operations = operations
        self._public_url = public_url

    def routes(self) -> list[Route]:
        """All public: they say nothing that the source does not."""
        return [
            Route("/docs", self.docs, methods=["GET"]),
            Route("/openapi.json", self.openapi, methods=["GET"]),
            Route("/schemas/{name}.json", self.schema, methods=["GET"]),
            Route("/robots.txt", self.robots, methods=["GET"]),
        ]

    async def docs(self, _: Request) -> Response:
        """The documentation: one page without scripts, and without anything from elsewhere."""
        return HTMLResponse(self._docs, headers=self._docs_headers)

    async def openapi(self, _: Request) -> Response:
        """The OpenAPI document."""
        return Response(self._openapi, headers=_HOUR, media_type="application/json")

    async def schema(self, request: Request) -> Response:
        """The JSON Schema of a message type."""
        content = TYPES.get(request.path_params["name"])
        if content is None:
            raise HTTPException(404)
        body = msgspec.json.encode(schema(content, self._public_url))
        return Response(body, headers=_HOUR, media_type="application/schema+json")

    async def robots(self, _: Request) -> Response:
        """That everything may be fetched."""
        return PlainTextResponse(ROBOTS, headers=_HOUR)

    @cached_property
    def _openapi(self) -> bytes:
        from gateway.openapi import document

        return msgspec.json.encode(document(self._operations, self._public_url))

    @cached_property
    def _docs(self) -> str:
        from gateway.docs_page import page

        return page(self._operations, self._public_url, self._style)

    @cached_property
    def _style(self) -> str:
        return files("gateway").joinpath("docs.css").read_text(encoding="utf-8")

    @cached_property
    def _docs_headers(self) -> dict[str, str]:
        digest = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        rules = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
        return {
            **_HOUR,
            "content-security-policy": f"{rules}form-action 'none'; frame-ancestors 'none'",
            "referrer-policy": "no-referrer",
        }
