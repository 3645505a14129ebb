"""Meta's GET handshake, with which a callback URL proves that it knows the verify token."""

import asyncio
import secrets
from typing import Literal

import httpx

from sandbox.fields import JsonObject
from sandbox.wirelog import utc_now

PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
TIME_LIMIT_S = 5.0


class Handshake:
    """Asks the webhook to echo a challenge (Graph API, "Webhooks": verification requests)."""

    def __init__(self, client: httpx.AsyncClient, webhook_url: str, verify_token: str) -> None:
        self.status: Literal["waiting", "verified", "refused"] = "waiting"
        self.detail = "not asked yet"
        self.tries = 0
        self.at: str | None = None
        self.webhook_url = webhook_url
        self._client = client
        self._verify_token = verify_token

    async def once(self) -> None:
        """Ask once; the outcome is in `status` and, in words, in `detail`."""
        challenge = str(secrets.randbelow(10**10))
        query = {
            "hub.mode": "subscribe",
            "hub.verify_token": self._verify_token,
            "hub.challenge": challenge,
        }
        self.tries += 1
        try:
            response = await self._client.get(self.webhook_url, params=query, timeout=TIME_LIMIT_S)
        except httpx.HTTPError as error:
            self.status, self.detail = "waiting", str(error) or type(error).__name__
        else:
            self._judge(response, challenge)
        self.at = utc_now()

    async def until_verified(self) -> None:
        """Ask again and again, at falling frequency, until the challenge comes back."""
        while True:
            await self.once()
            if self.status == "verified":
                return
            await asyncio.sleep(PAUSES_S[min(self.tries, len(PAUSES_S)) - 1])

    def document(self) -> JsonObject:
        """Return the state as the API shows it."""
        return {
            "status": self.status,
            "detail": self.detail,
            "tries": self.tries,
            "at": self.at,
            "webhook_url": self.webhook_url,
        }

    def _judge(self, response: httpx.Response, challenge: str) -> None:
        if response.status_code == 200 and response.text == challenge:
            self.status, self.detail = "verified", "200, and the challenge came back"
        elif response.status_code == 200:
            self.status, self.detail = "refused", "200, but the challenge did not come back"
        else:
            self.status, self.detail = "refused", f"answered {response.status_code}"
