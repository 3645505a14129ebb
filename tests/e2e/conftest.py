"""One running gateway with its sandbox for all tests that leave it running."""

import itertools
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.crm import Crm
from tests.e2e.provider import Provider
from tests.e2e.stack import Feed, Json, Run
from tests.sandbox.stage import Phone

_numbers = itertools.count(7_100_000_000_000_000)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """`gateway run --sandbox`, running; killed with its children at the end."""
    running = Run(tmp_path_factory.mktemp("run"))
    try:
        running.wait_until_running()
        yield running
    finally:
        running.process.close()


@pytest.fixture
def feed(run: Run) -> Iterator[Feed]:
    """The feed of the running gateway, from now on."""
    with Feed(run.curl_line) as reader:
        yield reader.skip()


@pytest.fixture
def psid() -> str:
    """A person whom nobody has met."""
    return str(next(_numbers))


@pytest.fixture
def phone(run: Run, psid: str) -> Iterator[Phone]:
    """The phone of that person; the sandbox behaves."""
    client = run.phone(psid)
    client.misbehave("clear")
    yield client
    client.http.close()


class Operator:
    """Looks at deliveries with an operator's key."""

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx.Client(
            base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=20, trust_env=False
        )

    def ids(self, status: str) -> set[str]:
        """Ids of all deliveries of a status."""
        return {one["id"] for one in self.deliveries(status)}

    def deliveries(self, status: str) -> list[Json]:
        """All deliveries of a status."""
        found: list[Json] = []
        while True:
            after = {"after": found[-1]["id"]} if found else {}
            query = {"status": status, "limit": "1000", **after}
            page = self._http.get("/v1/deliveries", params=query).raise_for_status().json()
            found += page["deliveries"]
            if not page["has_more"]:
                return found

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()


@pytest.fixture(scope="session")
def operator(run: Run) -> Iterator[Operator]:
    """An operator of the running gateway, with a key made on the command line."""
    key = run.command("keys", "create", "--role", "operator", "--name", "tests")["key"]
    client = Operator(run.url, key)
    yield client
    client.close()


@pytest.fixture(scope="session")
def crm(run: Run) -> Iterator[Crm]:
    """The CRM core with a key for all tenants; people come to the gateway as `localhost`."""
    key = run.command("keys", "create", "--role", "crm", "--name", "tests")["key"]
    core = Crm(run.url, key, f"http://localhost:{run.port}")
    yield core
    core.close()


@pytest.fixture
def provider(run: Run) -> Iterator[Provider]:
    """The providers, where the test adds people and accounts of its own."""
    with Provider(run.sandbox_url, next(_numbers)) as added:
        yield added
