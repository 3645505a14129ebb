"""An edge whose provider is played in memory, and people with browsers."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.gateway.connect.person import Person
from tests.gateway.connect.provider import FakeOAuth, Provider, registry
from tests.gateway.edges import FakeJobs, World, running
from tests.rig import Rig

RETURN = "http://localhost:3000/settings?tab=1"


class Stage:
    """An edge, its provider and those who connect."""

    def __init__(self, world: World, provider: Provider, login: FakeOAuth) -> None:
        self.world, self.provider, self.login = world, provider, login
        self.rig = world.rig
        self._people: list[Person] = []

    def person(self, language: str = "en") -> Person:
        """Somebody with a browser of their own."""
        made = Person(httpx.ASGITransport(self.world.edge, raise_app_exceptions=False), language)
        self._people.append(made)
        return made

    async def link(self, **asked: object) -> str:
        """A link as the CRM gets it, for a Page of `acme`."""
        answer = await self.ask(**asked)
        assert answer.status_code == 201, answer.text
        url: str = answer.json()["url"]
        return url

    async def ask(self, **asked: object) -> httpx.Response:
        """The CRM asks for a link."""
        body = {"tenant": "acme", "provider": "facebook", "return_url": RETURN, **asked}
        headers = self.world.headers("crm")
        return await self.world.client.post("/v1/connect-sessions", json=body, headers=headers)

    async def connected(self, person: Person, **asked: object) -> list[str]:
        """All the way: the ids of what was connected."""
        await person.open(await self.link(business="Bakery Ltd", **asked))
        await person.press("/ask")
        await person.open(self.provider.consent(person.dialog))
        await person.press(
            "/pick", *[("account", str(n)) for n in range(len(self.provider.choices))]
        )
        assert person.heading == "Connected", person.page.text
        status = await person.http.get(f"{person.page.url.path}/status")
        return [one["id"] for one in status.json()["connections"]]

    async def close(self) -> None:
        """All browsers."""
        for person in self._people:
            await person.close()


@pytest.fixture
async def stage(rig: Rig) -> AsyncIterator[Stage]:
    """A running edge on each database, with a provider in memory."""
    provider = Provider()
    built, login = registry(provider)
    async with running(rig, FakeJobs(), built) as world:
        made = Stage(world, provider, login)
        yield made
        await made.close()
