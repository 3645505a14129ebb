"""Gates on the way out: asked before each call, and told what each answer says of limits.

Meta: calls at a limit extend the block, so we stop before it
(https://developers.facebook.com/docs/graph-api/overview/rate-limiting).
"""

from collections.abc import Iterable
from typing import Final

import httpx

from connectors.kit.transport.failures import read
from connectors.kit.transport.hosts import OTHER, provider_of
from connectors.kit.transport.refusals import Answer
from connectors.kit.transport.usage import APP, ASSET, Usage, usages
from contracts.errors import Throttled
from contracts.gates import Gate, Keeper

ASSET_PERCENT: Final = 80.0
"""An asset rests from so much of its limit on; the rest is for whoever else uses it."""
APP_PERCENT: Final = 100.0
"""The app's own is everybody's: it rests when there is nothing left."""

REFUSED: Final = "refused"
USAGE: Final = "usage"


class Gated:
    """The gates of one client: its asset's, if it is lent for one, and that of the app."""

    def __init__(self, keeper: Keeper, asset: Gate | None) -> None:
        self._keeper, self._asset = keeper, asset

    def enter(self, request: httpx.Request) -> None:
        """Before a call. Raises `Throttled` while one of its gates is closed: nothing is sent."""
        whose = provider_of(request.url.host)
        if whose == OTHER:
            return
        if (left_s := self._keeper.closed_s(Gate(whose))) > 0:
            text = "our app rests after a rate limit"
            raise Throttled(text, scope=APP, after_s=left_s, code="gate")
        if self._asset and (left_s := self._keeper.closed_s(self._asset)) > 0:
            text = "the account rests after a rate limit"
            raise Throttled(text, scope=self._asset.asset, after_s=left_s, code="gate")

    def heard(self, request: httpx.Request, response: httpx.Response) -> None:
        """After a call; the body of a refusal is read. Raises what reading it raises."""
        whose = provider_of(request.url.host)
        if whose == OTHER:
            return
        self._used(whose, list(usages(response.headers)))
        if response.status_code >= 400:
            response.read()
            response.request = request
            self._refused(whose, read(response))

    def _used(self, whose: str, said: Iterable[Usage]) -> None:
        for usage in self._of_asset(said):
            if self._asset and usage.percent >= ASSET_PERCENT:
                self._keeper.close(self._asset, usage.regain_s, USAGE)
        for usage in said:
            if usage.subject == APP and usage.percent >= APP_PERCENT:
                self._keeper.close(Gate(whose), usage.regain_s, USAGE)

    def _of_asset(self, said: Iterable[Usage]) -> list[Usage]:
        """What concerns the asset: its own, where it is named; else all that is no app's, since
        limits of a business are named after that.
        """
        of_assets = [usage for usage in said if usage.subject != APP]
        names = (ASSET, self._asset.asset if self._asset else "")
        return [usage for usage in of_assets if usage.subject in names] or of_assets

    def _refused(self, whose: str, answer: Answer) -> None:
        from connectors.kit.limits import limit

        asset = self._asset.asset if self._asset else ""
        error = limit(answer, asset)
        if error is None:
            return
        if error.scope == APP:
            self._keeper.close(Gate(whose), error.after_s, REFUSED)
        elif self._asset and error.scope == asset:
            self._keeper.close(self._asset, error.after_s, REFUSED)
