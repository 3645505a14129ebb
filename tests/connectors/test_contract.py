"""What every connector of the registry must keep; a new one gets these tests by its line there."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from connectors.facebook import Facebook
from connectors.kit.meta.endpoint import MetaEndpoint
from connectors.kit.meta.settings import MetaSettings
from connectors.registry import PROVIDERS
from contracts import content
from contracts.connector import Account, Event, Ignored, Item, Provider, Receives, Unreadable
from contracts.messages import TYPES, Content, decode, encode
from tests.connectors.samples import (
    BENCHES,
    Bench,
    expectation,
    faults,
    faults_of_fixture,
    fixtures,
)

FIXTURES = [
    pytest.param(bench, path, id=f"{name}-{path.stem}")
    for name, bench in BENCHES.items()
    for path in fixtures(bench.fixtures)
]
every_connector = pytest.mark.parametrize("bench", BENCHES.values(), ids=BENCHES.keys())


@pytest.mark.parametrize(("bench", "path"), FIXTURES)
def test_a_fixture_becomes_what_stands_beside_it(bench: Bench, path: Path) -> None:
    assert bench.outcome(path.read_bytes()) == json.loads(expectation(path).read_bytes())
    assert list(faults_of_fixture(bench, path)) == []


@pytest.mark.parametrize(("bench", "path"), FIXTURES)
def test_its_messages_are_read_back_as_they_were_written(bench: Bench, path: Path) -> None:
    for event in bench.events(path.read_bytes()):
        written = bench.message(event)
        read = decode(encode(written))
        assert type(read.data) is type(written.data)
        assert encode(read) == encode(decode(encode(read)))


@every_connector
def test_a_connector_keeps_the_contract(bench: Bench) -> None:
    assert list(faults(bench, bench.fixtures)) == []


@every_connector
def test_what_it_cannot_read_and_what_it_emits_is_declared(bench: Bench) -> None:
    emits = bench.connector.emits
    assert content.ProviderUnrecognized in emits
    assert {kind.type for kind in emits} <= TYPES.keys()


@pytest.mark.parametrize("line", PROVIDERS, ids=lambda line: line.connector.name)
def test_a_connector_describes_itself(line: Provider) -> None:
    connector = line.connector
    assert connector.name == connector.name.lower()
    assert connector.title
    assert connector.channel
    assert connector.features
    assert len({feature.name for feature in connector.features}) == len(connector.features)
    assert all(feature.scopes for feature in connector.features)


@pytest.mark.parametrize("line", PROVIDERS, ids=lambda line: line.connector.name)
def test_one_that_does_not_receive_has_no_endpoint_and_says_so(line: Provider) -> None:
    """Fixtures are asked of the others: nobody gets around them by leaving one of the two out."""
    assert issubclass(line.connector, Receives) == (line.endpoint is not None)


def test_names_are_used_once() -> None:
    assert len({line.connector.name for line in PROVIDERS}) == len(PROVIDERS)


def test_receiving_loads_nothing_heavy() -> None:
    code = "import sys, connectors.registry; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.decode().split()}
    heavy = {
        "celery",
        "sqlalchemy",
        "starlette",
        "httpx",
        "requests",
        "facebook",
        "googleapiclient",
        "google",
        "httplib2",
        "oauthlib",
    }
    assert not loaded & heavy


class TestTheseTests:
    """They must fail for a connector that does not keep the contract."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return Path(shutil.copytree(BENCHES["facebook"].fixtures, tmp_path / "fixtures"))

    def test_a_fixture_needs_an_expectation(self, folder: Path) -> None:
        (folder / "message__text.expected.json").unlink()
        assert list(faults(BENCHES["facebook"], folder)) == [
            "message__text.json: a fixture without an expectation"
        ]

    def test_an_expectation_needs_a_fixture(self, folder: Path) -> None:
        (folder / "message__text.json").unlink()
        assert list(faults(BENCHES["facebook"], folder)) == [
            "message__text.expected.json: an expectation without a fixture"
        ]

    def test_every_event_needs_a_fixture(self, folder: Path) -> None:
        for path in folder.glob("app_roles__*"):
            path.unlink()
        assert list(faults(BENCHES["facebook"], folder)) == ["app_roles: no fixture"]

    def test_a_fixture_needs_an_event(self, folder: Path) -> None:
        for path in folder.glob("app_roles__*"):
            path.rename(path.with_name(path.name.replace("app_roles", "app_rolls")))
        assert set(faults(BENCHES["facebook"], folder)) == {
            "app_roles: no fixture",
            "app_rolls: a fixture of a kind that is not in the event table",
        }

    def test_another_outcome_is_found(self, folder: Path) -> None:
        path = folder / "message__text.json"
        path.write_text(path.read_text().replace("Balkon", "Terrasse"))
        assert list(faults(BENCHES["facebook"], folder)) == [
            "message__text.json: does not become what is expected"
        ]

    def test_types_must_be_declared_and_shown(self, folder: Path) -> None:
        class Boastful(Facebook):
            emits: ClassVar[tuple[type[Content], ...]] = (
                *(kind for kind in Facebook.emits if kind is not content.MessageRead),
                content.CalendarChanged,
            )

        bench = Bench(Provider(connector=Boastful, settings=MetaSettings, endpoint=MetaEndpoint))
        assert set(faults(bench, folder)) == {
            "message.read: emitted, but not declared",
            "calendar.changed: declared, but no fixture shows it",
            "calendar.changed: not of exactly one feature, nor for all",
            "message.read: brought by a feature, but not declared",
        }

    def test_keys_must_not_change(self, folder: Path) -> None:
        class Forgetful(Facebook):
            count = 0

            def normalize(
                self, item: Item, account: Account
            ) -> Iterator[Event | Unreadable | Ignored]:
                for result in super().normalize(item, account):
                    Forgetful.count += 1
                    yield (
                        Event(content=result.content, key=f"{self.count}", at=result.at)
                        if isinstance(result, Event)
                        else result
                    )

        bench = Bench(Provider(connector=Forgetful, settings=MetaSettings, endpoint=MetaEndpoint))
        assert "read__watermark.json: the second time differs from the first" in list(
            faults(bench, folder)
        )
