"""Google's two shapes of error: of its token endpoints (RFC 6749, 5.2), and of its APIs."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

AUTH_PATHS = ("/token", "/revoke", "/tokeninfo", "/v1/userinfo")


class TokenError(Exception):
    """`{error, error_description}`, as the token endpoints answer."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error, self.description, self.status = error, description, status


class ApiError(Exception):
    """`{"error": {code, message, errors: [{domain, reason, message}], status}}`."""

    def __init__(
        self, status: int, reason: str, message: str, name: str, domain: str = "global"
    ) -> None:
        super().__init__(message)
        self.status, self.reason, self.name, self.domain = status, reason, name, domain


def invalid_request(description: str) -> TokenError:
    """Return the error for wrong parameters of a token endpoint."""
    return TokenError("invalid_request", description)


def invalid_grant(description: str = "Bad Request") -> TokenError:
    """Return the error for a code or refresh token that is not, or no longer, good."""
    return TokenError("invalid_grant", description)


def bad_request(message: str) -> ApiError:
    """Return the error for wrong parameters of an API."""
    return ApiError(400, "badRequest", message, "INVALID_ARGUMENT")


def unauthenticated() -> ApiError:
    """Return the error for an access token that is none, or has died."""
    text = "Request had invalid authentication credentials. Expected OAuth 2 access token."
    return ApiError(401, "authError", text, "UNAUTHENTICATED")


def insufficient() -> ApiError:
    """Return the error for a scope that was not granted."""
    text = "Request had insufficient authentication scopes."
    return ApiError(403, "insufficientPermissions", text, "PERMISSION_DENIED")


def token_refused(_request: Request, error: Exception) -> Response:
    """Starlette's handler of `TokenError`."""
    if not isinstance(error, TokenError):
        raise error
    document = {"error": error.error, "error_description": error.description}
    return JSONResponse(document, error.status)


def api_refused(_request: Request, error: Exception) -> Response:
    """Starlette's handler of `ApiError`."""
    if not isinstance(error, ApiError):
        raise error
    return _of(error, {})


def trouble(kind: str, path: str) -> Response:
    """Return what Google answers in trouble, in the shape of the path."""
    status = {"throttled": 429, "lost": 502}.get(kind, 503)
    if path.startswith(AUTH_PATHS):
        error = "rate_limit_exceeded" if kind == "throttled" else "temporarily_unavailable"
        return JSONResponse({"error": error, "error_description": "Try again later."}, status)
    if kind == "throttled":
        limit = ApiError(
            429, "rateLimitExceeded", "Rate Limit Exceeded", "RESOURCE_EXHAUSTED", "usageLimits"
        )
        return _of(limit, {"Retry-After": "7"})
    return _of(ApiError(status, "backendError", "Backend Error", "UNAVAILABLE"), {})


def _of(error: ApiError, headers: dict[str, str]) -> Response:
    told = {"message": str(error), "domain": error.domain, "reason": error.reason}
    document = {"code": error.status, "message": str(error), "errors": [told]}
    return JSONResponse({"error": {**document, "status": error.name}}, error.status, headers)
