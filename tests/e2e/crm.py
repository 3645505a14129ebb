"""What the CRM core does: it asks for links, reads feeds, looks at connections and ends them."""

from typing import Any

import httpx

from tests.e2e.stack import Feed, Json
from tests.sandbox.stage import wait_until

WITHIN_S = 30.0


class Crm:
    """Calls the API with one key for all tenants."""

    def __init__(self, url: str, key: str, public_url: str) -> None:
        """`public_url`: by which people come."""
        self._url, self._key, self._public_url = url, key, public_url
        headers = {"authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False)

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def link(self, tenant: str, provider: str, **asked: object) -> str:
        """A link by which somebody connects; afterwards they are led to our documentation."""
        body = {"tenant": tenant, "provider": provider, "return_url": f"{self._public_url}/docs"}
        answer = self._http.post("/v1/connect-sessions", json=body | asked)
        assert answer.status_code == 201, answer.text
        url: str = answer.json()["url"]
        return url

    def feed(self, tenant: str | None = None) -> Feed:
        """All that a tenant gets, or all of them, from the first message."""
        url = f"{self._url}/v1/messages"
        return Feed(f'curl -H "Authorization: Bearer {self._key}" "{url}"', tenant=tenant)

    def of(self, tenant: str) -> list[Json]:
        """A tenant's connections."""
        found: list[Json] = self._got("/v1/connections", tenant=tenant)["connections"]
        return found

    def connection(self, id_: str) -> Json:
        """A connection with its details."""
        return self._got(f"/v1/connections/{id_}")

    def health(self, id_: str) -> str:
        """How a connection is, in words."""
        return " ".join(one["says"] for one in self.connection(id_)["health"])

    def until(self, id_: str, status: str) -> Json:
        """The connection, as soon as it has that status."""
        wait_until(lambda: bool(self.connection(id_)["status"] == status), WITHIN_S)
        return self.connection(id_)

    def attachment(self, id_: str) -> bytes:
        """The bytes of stored media."""
        answer = self._http.get(f"/v1/attachments/{id_}")
        assert answer.status_code == 200, answer.text
        return answer.content

    def resync(self, id_: str) -> None:
        """Have a worker look at it now."""
        self._ordered(f"/v1/connections/{id_}/resync")

    def pause(self, id_: str) -> None:
        """Have what comes in wait from now on."""
        self._ordered(f"/v1/connections/{id_}/pause", reason="the shop moves")

    def resume(self, id_: str) -> None:
        """Have a worker bring what waited, and go on."""
        self._ordered(f"/v1/connections/{id_}/resume")

    def order_revocation(self, id_: str) -> None:
        """Have a worker end it."""
        self._ordered(f"/v1/connections/{id_}/revoke", reason="the contract has ended")

    def revoke(self, id_: str) -> Json:
        """End it; returns the receipt when it is complete: `outcome` by step, and `by_hand`."""
        self.order_revocation(id_)
        self.until(id_, "revoked")
        return self.receipt(id_)

    def receipt(self, id_: str) -> Json:
        """The complete receipt of a revocation that is done."""
        receipt = self._got(f"/v1/connections/{id_}/revocation")
        assert receipt["state"] == "done", receipt
        assert all(step["at"] for step in receipt["steps"]), receipt
        outcomes = {step["step"]: step["outcome"] for step in receipt["steps"]}
        return outcomes | {"by_hand": receipt.get("by_hand", "")}

    def send(self, key: str, **body: object) -> httpx.Response:
        """Have something sent."""
        return self._http.post("/v1/messages", json=body, headers={"idempotency-key": key})

    def upload(self, tenant: str, content: bytes, mime_type: str) -> str:
        """A file to send; its id."""
        query, headers = {"tenant": tenant, "name": "a"}, {"content-type": mime_type}
        path = "/v1/attachments"
        answer = self._http.post(path, params=query, content=content, headers=headers)
        assert answer.is_success, answer.text
        id_: str = answer.json()["id"]
        return id_

    def sent(self, id_: str) -> Json:
        """What became of a send."""
        return self._got(f"/v1/sends/{id_}")

    def outcome(self, id_: str, *states: str) -> Json:
        """The same, as soon as it is one of these."""
        wait_until(lambda: self.sent(id_)["status"] in states, WITHIN_S)
        return self.sent(id_)

    def _ordered(self, path: str, **body: str) -> None:
        answer = self._http.post(path, json=body or None)
        assert answer.status_code == 202, answer.text

    def _got(self, path: str, **query: Any) -> Json:
        answer = self._http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        document: Json = answer.json()
        return document
