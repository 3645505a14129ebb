"""Calls of Graph through facebook-sdk, whose gaps are closed. Heavy: import it where it is used.

The SDK (3.1.0) knows versions up to 3.1, ignores HTTP statuses, form-encodes nested values into
nonsense and puts the token into URLs. It gets no token from us: the client carries it.
"""

import json
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx
import requests

from connectors.kit.meta.errors import error_of, refusal
from connectors.kit.transport.for_requests import answer_of, carry
from connectors.kit.transport.refusals import unclear
from contracts.errors import OutcomeUnknown, Permanent, Retryable

with warnings.catch_warnings():  # an escape in its regular expression is none
    warnings.simplefilter("ignore", (DeprecationWarning, SyntaxWarning))
    import facebook

_SECRET: Final = frozenset({"access_token", "appsecret_proof"})
_MOST_PAGES: Final = 1_000


class Graph:
    """Graph for one account. `client` carries its token; `account` names the asset whose rate
    limits the calls use; `version` is one like `v24.0`.
    """

    def __init__(self, client: httpx.Client, version: str, account: str) -> None:
        self._version, self._account = version, account
        session = requests.Session()
        carry(session, client)
        session.hooks["response"].append(self._checked)
        self._sdk = facebook.GraphAPI(session=session)
        self._sdk.version = version  # its own check refuses every version that is alive

    def get(self, path: str, **fields: Any) -> dict[str, Any]:
        """Read. Raises the errors of `contracts.errors`, as `post` and `delete` do."""
        return self._object(path, args=_flat(fields))

    def post(self, path: str, **fields: Any) -> dict[str, Any]:
        """Write; nested values are sent as JSON, as Graph reads them."""
        return self._object(path, post_args=_flat(fields))

    def put(self, path: str, **fields: Any) -> dict[str, Any]:
        """Write what may be written twice: an answer that is lost is `Retryable`."""
        try:
            return self.post(path, **fields)
        except OutcomeUnknown as error:
            raise Retryable(str(error), code=error.code) from None

    def delete(self, path: str, **fields: Any) -> dict[str, Any]:
        """Remove."""
        return self._object(path, args=_flat(fields), method="DELETE")

    def each(self, path: str, **fields: Any) -> Iterator[dict[str, Any]]:
        """What stands in `data`, over all pages."""
        asked = _flat(fields)
        for _ in range(_MOST_PAGES):
            page = self._object(path, args=dict(asked))
            yield from page.get("data") or ()
            following = (page.get("paging") or {}).get("next")
            if not following:
                return
            asked |= _parameters(following)
        raise Permanent("Graph's pages do not end")

    def _object(self, path: str, **how: Any) -> dict[str, Any]:
        answer = self._sdk.request(f"{self._version}/{path.lstrip('/')}", **how)
        if not isinstance(answer, dict):
            return {"success": answer}
        return answer

    def _checked(self, response: requests.Response, **_: Any) -> requests.Response:
        """A hook of the session: the SDK sees good answers alone, as JSON and called so."""
        answer = answer_of(response)
        if response.status_code >= 400 or error_of(answer.body):
            raise refusal(answer, self._account)
        try:
            response.json()
        except (ValueError, RecursionError):
            text = f"{answer.host} answered {answer.status} with something else than JSON"
            raise unclear(text, repeatable=answer.repeatable) from None
        response.headers["content-type"] = "application/json"
        return response


def _flat(fields: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in fields.items()
        if value is not None
    }


def _parameters(url: str) -> dict[str, str]:
    """Those of the next page, without the token that Graph writes into its address. The address
    itself is not called: it came from outside.
    """
    return {name: value for name, value in parse_qsl(urlsplit(url).query) if name not in _SECRET}
