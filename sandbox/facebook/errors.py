"""Graph's errors: `{"error": {message, type, code, error_subcode?, fbtrace_id}}`.

Codes: Graph API, "Handling errors", and Facebook Login, "Access tokens".
"""

import secrets

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.fields import JsonObject, present

VALIDATING = "Error validating access token: "
ENDED = {
    458: "The user has not authorized application {app}.",
    460: "The session has been invalidated because the user changed their password or Facebook "
    "has changed the session for security reasons.",
    463: "Session has expired on an earlier day.",
    492: "The user must be an administrator, editor, or moderator of the page in order to "
    "impersonate it.",
}
"""Subcodes of 190 and what Graph says with each."""


class GraphError(Exception):
    """A call is refused; `code` and `subcode` are Graph's."""

    def __init__(
        self,
        message: str,
        code: int,
        subcode: int | None = None,
        *,
        status: int = 400,
        kind: str = "OAuthException",
        transient: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.subcode, self.status = code, subcode, status
        self._kind, self._transient = kind, transient

    def document(self) -> JsonObject:
        """Return the error as it goes over the wire."""
        error = {
            "message": str(self),
            "type": self._kind,
            "code": self.code,
            **present(error_subcode=self.subcode, is_transient=self._transient),
            "fbtrace_id": "A" + secrets.token_urlsafe(16),
        }
        return {"error": error}


def parameter(message: str) -> GraphError:
    """Return the error for a wrong parameter: 100."""
    return GraphError(f"(#100) {message}", 100)


def missing(object_id: str, method: str = "get") -> GraphError:
    """Return the error for what is not there, or not for this token: 100/33."""
    return GraphError(
        f"Unsupported {method} request. Object with ID '{object_id}' does not exist, cannot be "
        "loaded due to missing permissions, or does not support this operation. Please read the "
        "Graph API documentation at https://developers.facebook.com/docs/graph-api",
        100,
        33,
        kind="GraphMethodException",
    )


def unauthorized(subcode: int | None, app_id: str) -> GraphError:
    """Return the error for a token that is no longer valid: 190."""
    if subcode is None:
        return GraphError("Invalid OAuth access token - Cannot parse access token", 190)
    message = VALIDATING + ENDED[subcode].format(app=app_id)
    return GraphError(message, 190, subcode)


def lacks(permission: str, purpose: str) -> GraphError:
    """Return the error for a permission that was not granted: 200."""
    return GraphError(f"(#200) Requires {permission} permission to {purpose}", 200, status=403)


def refused(request: Request, error: Exception) -> Response:
    """Starlette's handler: the answer to a call that is refused."""
    if not isinstance(error, GraphError):
        raise error
    return answer(request, error.document(), error.status)


def answer(request: Request, document: object, status: int = 200) -> Response:
    """Return an answer of Graph's, which says the version that gave it."""
    version = request.path_params.get("version")
    headers = {} if version is None else {"facebook-api-version": f"v{version}"}
    return JSONResponse(document, status, headers)


def trouble(kind: str, _path: str) -> Response:
    """Return what Graph answers in trouble: code 4 when the app is throttled, 32 when a Page is,
    else code 2.
    """
    if kind == "limited":
        error = GraphError("(#32) Page request limit reached", 32, transient=True)
        return JSONResponse(error.document(), 403)
    if kind == "throttled":
        usage = '{"call_count":100,"total_time":25,"total_cputime":25}'
        error = GraphError("(#4) Application request limit reached", 4, transient=True)
        return JSONResponse(error.document(), 403, {"X-App-Usage": usage})
    error = GraphError("Service temporarily unavailable", 2, transient=True)
    return JSONResponse(error.document(), 502 if kind == "lost" else 503)
