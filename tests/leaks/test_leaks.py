"""Secrets, content and people are planted, every path is played, everything is searched."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.kms.transit import TOKEN, VaultProcess, certificate
from tests.leaks import consenting, outages
from tests.leaks.backends import Backend, Embedded, Servers
from tests.leaks.grants import LOGINS, Consents
from tests.leaks.paths import Play
from tests.leaks.planted import Planted
from tests.leaks.provider import FATES, Provider
from tests.leaks.search import Finder, Leak
from tests.leaks.stage import PATIENCE_S, Stage
from tests.processes import eventually
from tests.servers import PrivatePostgres, PrivateRedis

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Allowed(NamedTuple):
    """Where some markers may be; `place` and `markers` are expressions for their whole names."""

    place: str
    markers: str
    why: str


CONTENT: Final = r".*\btext\b.*|name|street|e-mail|phone|contact|attachment|kind|message id"
ACCOUNT: Final = "account name|page|other page"
ALLOWED: Final = (
    Allowed("answer 200", f"{CONTENT}|{ACCOUNT}", "readers with a key get what they came for"),
    Allowed(
        "answer 404|file said/(connections|deliveries) show .*",
        "phone in an id",
        "who asks for an id that is unknown is told which: it is what they sent as an address",
    ),
    Allowed(
        "file said/keys create .*",
        "(crm|operator) key",
        "a key is printed once, for whoever makes it",
    ),
    Allowed(
        "file said/connections (add|list|show) .*",
        ACCOUNT,
        "operators see what the accounts are called",
    ),
    Allowed(
        "file said/messages tail .*",
        CONTENT,
        "it opens messages, on the machine that has the keys",
    ),
    Allowed(
        "answer (200|201|303)",
        ".* (link|proof|cookie|state)",
        "a person's own browser gets what proves it is the one, and whoever made the link its URL",
    ),
    Allowed(
        "answer 400",
        ".* link",
        "a browser whose answer is refused is led back to the link that it has the cookie of",
    ),
    Allowed(
        r"answer 200|table connect_sessions|file var/gateway\.db(-wal)?",
        "business name|return URL",
        "a connect session has the tenant's name and the CRM's own address in clear",
    ),
    Allowed(
        "URL of others",
        "page|other page|contact",
        "Graph has what is asked for in its path",
    ),
    Allowed(
        "URL of instagram",
        f"instagram ({'|'.join(FATES)})",
        "Instagram documents its refresh with the token in the query, and no other way",
    ),
    Allowed(
        "URL of meta",
        f"meta ({'|'.join(FATES)})",
        "Graph documents debug_token with the token in the query, and no other way",
    ),
)


@pytest.fixture
def provider() -> Iterator[Provider]:
    """All providers, on loopback."""
    found = Provider(Planted())
    yield found
    found.close()


@pytest.fixture
def kms(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[VaultProcess]:
    """A KMS that runs, and whose token all processes have."""
    folder = tmp_path_factory.mktemp("kms")
    monkeypatch.setenv("VAULT_CACERT", str(certificate(folder)))
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    found = VaultProcess(folder)
    found.start()
    yield found
    found.kill()


def settings(planted: Planted, provider: Provider, kms: VaultProcess) -> dict[str, str]:
    """What is set in every deployment of these tests."""
    return {
        "GATEWAY_SANDBOX_URL": provider.url,
        "GATEWAY_KEK_URI": kms.uri,
        "VAULT_TOKEN": planted.given("token of the KMS", TOKEN),
        "META_APP_ID": "1",
        "META_APP_SECRET": planted.secret("app secret"),
        "META_APP_SECRET_PREVIOUS": planted.secret("previous app secret"),
        "META_VERIFY_TOKEN": planted.secret("verify token"),
        "INSTAGRAM_APP_ID": "2",
        "INSTAGRAM_APP_SECRET": planted.secret("instagram app secret"),
        "GOOGLE_CLIENT_ID": "3",
        "GOOGLE_CLIENT_SECRET": planted.secret("google client secret", "GOCSPX-"),
    }


@pytest.fixture(
    params=[
        "embedded",
        pytest.param("servers", marks=[pytest.mark.postgres_server, pytest.mark.redis_server]),
    ]
)
def backend(
    request: pytest.FixtureRequest, tmp_path: Path, provider: Provider
) -> Iterator[Backend]:
    """SQLite and files; then PostgreSQL and Redis, with passwords."""
    if request.param == "embedded":
        yield Embedded(tmp_path / "stage")
        return
    postgres: PrivatePostgres = request.getfixturevalue("private_postgres")
    broker = PrivateRedis(tmp_path, provider.planted.secret("broker password"))
    broker.start()
    yield Servers(provider.planted, postgres, broker)
    broker.kill()


@pytest.fixture
def stage(
    tmp_path: Path, provider: Provider, kms: VaultProcess, backend: Backend
) -> Iterator[Stage]:
    """A deployment that is not started."""
    given = settings(provider.planted, provider, kms)
    found = Stage(tmp_path / "stage", provider.planted, backend, given)
    yield found
    found.close()


def test_nothing_leaks(
    stage: Stage, provider: Provider, kms: VaultProcess, backend: Backend
) -> None:
    play = Play(stage)
    play.set_up()
    consents = Consents(stage.settings, stage.planted, play.carried)
    consents.give()
    play.webhooks()
    play.calls()
    play.wrong_calls()
    consenting.begun(play)
    play.commands()
    play.wrong_commands()
    outages.worker_killed(play)
    outages.kms_away(play, kms)
    outages.broker_away(play, backend)
    outages.database_away(play, backend)
    outages.wrong_settings(play)
    outages.faults(play, backend)
    eventually(consents.are_done, 2 * PATIENCE_S)  # a killed worker's are gone through one by one
    provider.close()
    consents.again()
    eventually(consents.found_nobody, PATIENCE_S)
    outages.revoked(play)
    outages.erased(play)
    stage.look()
    _everything_was_planted(play, provider)
    assert _unexpected(stage, provider) == []
    outages.leaking(play)  # the control: it is found where it leaked, and nowhere else
    stage.stop()
    stage.look()
    found = _unexpected(stage, provider)
    assert {leak.place for leak in found} == {"file logs/leaking.log"}
    assert "leaked text" in {leak.marker for leak in found}


def _everything_was_planted(play: Play, provider: Provider) -> None:
    """It went all the way: to the readers whom it is for, and to the providers."""
    finder = Finder(play.planted.markers)
    answers = b"\n".join(said for name, said in play.stage.answers if name == "answer 200")
    told = {"name", "street", "e-mail", "phone", "contact", "attachment", "account name", "page"}
    assert told | set(play.texts) <= finder.find(answers).keys()
    sent = finder.find(b"\n".join(asked.rest + asked.line.encode() for asked in provider.asked))
    tokens = {f"{login} {fate}" for login in LOGINS for fate in FATES}
    assert {*tokens, "google client secret", "app secret"} <= sent.keys()


def _unexpected(stage: Stage, provider: Provider) -> list[Leak]:
    """What was found where the table does not allow it."""
    urls = [(f"URL of {asked.login}", asked.line.encode()) for asked in provider.asked]
    found = [*stage.leaks.values(), *stage.planted.leaks(iter(urls))]
    return [leak for leak in found if not _is_allowed(leak)]


def _is_allowed(leak: Leak) -> bool:
    return any(
        re.fullmatch(x.place, leak.place) and re.fullmatch(x.markers, leak.marker) for x in ALLOWED
    )
