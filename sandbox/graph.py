"""The Graph room: what is not there is refused in Graph's own shape."""

import secrets

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

METHODS = ["GET", "POST", "DELETE"]


async def unknown_path(request: Request) -> Response:
    """404 with `error{message, type, code, fbtrace_id}`, code 2500 (Graph API, "Errors")."""
    path = request.path_params["path"]
    error = {
        "message": f"Unknown path components: /{path}",
        "type": "OAuthException",
        "code": 2500,
        "fbtrace_id": secrets.token_urlsafe(8),
    }
    version = f"v{request.path_params['version']}"
    return JSONResponse({"error": error}, 404, {"facebook-api-version": version})


ROUTES = [Route("/v{version:float}/{path:path}", unknown_path, methods=METHODS)]
