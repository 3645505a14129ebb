"""One table of operations: the routes and the OpenAPI document are both made from it."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.errors import GatewayError, InvalidInput, TooLarge
from gateway import problems
from gateway.auth import Auth
from gateway.metrics import Metrics
from gateway.query import parse_body, parse_headers, parse_path, parse_query
from storage.api_keys import ApiKey, Role

log = structlog.get_logger()

Q = TypeVar("Q", bound=msgspec.Struct)
P = TypeVar("P", bound=msgspec.Struct)
B = TypeVar("B", bound=msgspec.Struct)

BODY_CAP: Final = 1 << 20

CRM: Final[frozenset[Role]] = frozenset({"crm"})
OPERATOR: Final[frozenset[Role]] = frozenset({"operator"})
CRM_OR_OPERATOR: Final[frozenset[Role]] = CRM | OPERATOR
ADMIN: Final[frozenset[Role]] = frozenset({"admin"})


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters, or no body."""


NO_HEADERS: Final = Nothing()
NOBODY: Final = ApiKey("", "", "crm", "", 0, None)
"""Calls an operation without roles; bound to a tenant that cannot exist."""


class Call(Generic[Q, P, B]):
    """One call, authenticated and read: the key, and query, path and body as structs."""

    __slots__ = ("body", "headers", "key", "path", "query", "request")

    def __init__(
        self, request: Request, key: ApiKey, query: Q, path: P, body: B, headers: Any = NO_HEADERS
    ) -> None:
        """`headers`: of the operation's own struct."""
        self.request, self.key, self.headers = request, key, headers
        self.query, self.path, self.body = query, path, body

    @property
    def scope(self) -> str:
        """Whose names the key's are: its tenant's, or empty for a key of all tenants."""
        return self.key.tenant or ""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One line of the table. Paths have their parts in braces, named as `path_parts`' fields."""

    name: str
    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    roles: frozenset[Role]
    summary: str
    text: str = ""
    query: type[msgspec.Struct] = Nothing
    path_parts: type[msgspec.Struct] = Nothing
    headers: type[msgspec.Struct] = Nothing
    body: type[msgspec.Struct] = Nothing
    takes_bytes: bool = False
    """The body is a file, which the endpoint reads itself."""
    answers: Mapping[int, Any] = field(default_factory=dict)
    """Status → the type of the JSON body, `bytes` for a file, None without one."""
    example: str = ""
    """For the documentation: path and query of a call."""
    example_body: str = ""
    errors: Sequence[type[GatewayError]] = ()
    """What can go wrong besides what always can: bad input, no key, no right, a part away."""
    endpoint: Callable[[Call[Any, Any, Any]], Awaitable[Response]]


_encode: Final = msgspec.json.Encoder().encode


def answer(value: msgspec.Struct, status: int = 200) -> Response:
    """`value` as JSON."""
    return Response(_encode(value), status, media_type="application/json")


def json_bytes(body: bytes) -> Response:
    """JSON that is there as bytes already."""
    return Response(body, media_type="application/json")


class Table:
    """The operations of one edge."""

    def __init__(self, operations: Iterable[Operation], auth: Auth, metrics: Metrics) -> None:
        self.operations = tuple(operations)
        self._auth = auth
        self._calls = metrics.calls

    def routes(self) -> list[Route]:
        """One route a path, so that a wrong method is told all the right ones."""
        paths: dict[str, dict[str, Operation]] = defaultdict(dict)
        for operation in self.operations:
            paths[operation.path][operation.method] = operation
        return [
            Route(path, self._dispatcher(by_method), methods=list(by_method))
            for path, by_method in paths.items()
        ]

    def _dispatcher(
        self, by_method: Mapping[str, Operation]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def dispatch(request: Request) -> Response:
            operation = by_method["GET" if request.method == "HEAD" else request.method]
            try:
                response = await self._run(operation, request)
            except GatewayError as error:
                response = await problems.of_gateway_error(request, error)
            except Exception:
                log.exception("http.fault", operation=operation.name)
                response = problems.fault()
            self._calls.labels(operation.name, response.status_code).inc()
            response.headers["cache-control"] = "no-store"
            return response

        return dispatch

    async def _run(self, operation: Operation, request: Request) -> Response:
        key = NOBODY
        if operation.roles:
            key = await self._auth.key(request.headers.get("authorization"), operation.roles)
        query = parse_query(operation.query, request.scope["query_string"])
        path = parse_path(operation.path_parts, request.path_params)
        headers = parse_headers(operation.headers, request.headers)
        body: msgspec.Struct = Nothing()
        if operation.method in ("POST", "PUT") and not operation.takes_bytes:
            body = parse_body(operation.body, await _read(request))
        return await operation.endpoint(Call(request, key, query, path, body, headers))


async def _read(request: Request) -> bytes:
    """The body. Raises `TooLarge`, and `InvalidInput` when it ends too early."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_CAP:
                raise TooLarge("the body may have 1 MiB")
    except ClientDisconnect:
        raise InvalidInput("body: ended early") from None
    return bytes(body)
