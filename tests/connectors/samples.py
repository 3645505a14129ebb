"""The contract tests' view of a connector: its fixtures, and what becomes of them, as JSON."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs

from connectors.registry import PROVIDERS, Registry, build
from contracts.connector import (
    FOR_ALL,
    Account,
    Delivery,
    Endpoint,
    Event,
    Ignored,
    Item,
    Provider,
    Receives,
    Unreadable,
    VerifiedDelivery,
)
from contracts.media import KeepsMedia
from contracts.messages import (
    PREFIX,
    Content,
    Conversation,
    Message,
    data_schema,
    decode,
    encode,
    timestamp,
)
from contracts.schemas import schemas

PUBLIC_URL = "https://gateway.example"
SCHEMAS = schemas(PUBLIC_URL)
ENVIRON = {
    "META_APP_SECRET": "test-secret",
    "META_APP_SECRET_PREVIOUS": "older-secret",
    "META_VERIFY_TOKEN": "verify-me",
    "META_APP_ID": "4242",
    "META_SIGNUP_CONFIG_ID": "4244",
    "INSTAGRAM_APP_ID": "4343",
    "INSTAGRAM_APP_SECRET": "instagram-secret",
    "GOOGLE_CLIENT_ID": "client-1",
    "GOOGLE_CLIENT_SECRET": "google-secret",
}
"""Every provider's settings, made up: one that is off would not be tested."""
ACCOUNT = Account(id="con_1", conversation=lambda thread: Conversation(id=f"cnv_{thread}"))
STRANGE = "unrecognized"
"""What fixtures of kinds outside of the event table are called."""

Result = Event | Unreadable | Ignored


class Unsigned(Endpoint):
    """Takes every delivery for signed: what is tested is what comes after."""

    path = "unsigned"

    def __init__(self) -> None:
        pass

    def handshake(self, query: Mapping[str, str]) -> str:
        return ""

    def check(self, delivery: Delivery) -> str:
        return "test"

    def split(self, delivery: VerifiedDelivery) -> list[Item]:
        return []


class Bench:
    """One provider that delivers, on its own: its endpoint and its connector."""

    def __init__(self, provider: Provider) -> None:
        self.registry: Registry = build(ENVIRON, [provider])
        (self.connector,) = self.registry.receiving.values()
        (self.endpoint,) = self.registry.endpoints.values()

    @property
    def fixtures(self) -> Path:
        return Path(__file__).parent / self.connector.name / "fixtures"

    def split(self, body: bytes) -> list[Item]:
        return self.endpoint.split(Unsigned().verify(Delivery(headers={}, body=body)))

    def results(self, body: bytes) -> Iterator[tuple[Item, list[Result]]]:
        for item in self.split(body):
            ours = item.provider == self.connector.name
            yield item, list(self.connector.normalize(item, ACCOUNT)) if ours else []

    def events(self, body: bytes) -> list[Event]:
        return [r for _, results in self.results(body) for r in results if isinstance(r, Event)]

    def outcome(self, body: bytes) -> list[Any]:
        """What becomes of a delivery's items, in order, as an expectation writes it."""
        return [
            {
                "provider": item.provider,
                "route": item.route,
                "events": [self._told(result) for result in results],
            }
            for item, results in self.results(body)
        ]

    def _told(self, result: Result) -> Any:
        if isinstance(result, Unreadable):
            return {"unreadable": result.kind}
        if isinstance(result, Ignored):
            return {"ignored": result.kind}
        return {
            "type": result.content.type,
            "key": result.key,
            "contact": result.contact,
            "time": timestamp(result.at),
            "data": self.as_json(result)["data"],
        }

    def message(self, event: Event) -> Message[Content]:
        """The message that the event becomes, as a drain makes it."""
        conversation = getattr(event.content, "conversation", None)
        return Message(
            id="msg_1",
            source=f"/{self.connector.name}/1234567890",
            type=PREFIX + event.content.type,
            **({"subject": conversation.id} if conversation else {}),
            time=timestamp(event.at),
            dataschema=data_schema(PUBLIC_URL, type(event.content)),
            tenant="acme",
            connection="con_1",
            provider=self.connector.name,
            channel=self.connector.channel,
            data=event.content,
        )

    def check(self, results: list[Result]) -> None:
        """Every result can be written, read and told apart; errors hold no content."""
        for result in results:
            if isinstance(result, Ignored):
                assert result.kind in self.connector.events
            elif isinstance(result, Unreadable):
                assert result.kind
                assert result.error
            else:
                written = encode(self.message(result))
                jsonschema_rs.validate(SCHEMAS[result.content.type], json.loads(written))
                assert not any("\0" in text for text in texts(json.loads(written)))
                assert decode(written).type == PREFIX + result.content.type
                result.key.encode()
                (result.contact or "").encode()

    def as_json(self, event: Event) -> dict[str, Any]:
        written: dict[str, Any] = json.loads(encode(self.message(event)))
        return written


BENCHES = {
    provider.connector.name: Bench(provider)
    for provider in PROVIDERS
    if issubclass(provider.connector, Receives)
}


def texts(value: Any) -> Iterator[str]:
    """Every text in `value`, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in (*value, *value.values()) if isinstance(value, dict) else value:
            yield from texts(part)


def expectation(fixture: Path) -> Path:
    return fixture.with_suffix(".expected.json")


def fixtures(folder: Path) -> list[Path]:
    """Bodies as the provider posts them, without the expectations beside them."""
    return sorted(path for path in folder.glob("*.json") if ".expected." not in path.name)


def faults(bench: Bench, folder: Path) -> Iterator[str]:
    """What is wrong with a connector or its fixtures, in words; nothing if all is well."""
    paths = fixtures(folder)
    kinds = {path.stem.split("__")[0] for path in paths}
    for kind in bench.connector.events.keys() - kinds:
        yield f"{kind}: no fixture"
    for kind in kinds - bench.connector.events.keys() - {STRANGE}:
        yield f"{kind}: a fixture of a kind that is not in the event table"
    for path in {*folder.glob("*.expected.json")} - set(map(expectation, paths)):
        yield f"{path.name}: an expectation without a fixture"
    emitted: set[type[Content]] = set()
    for path in paths:
        yield from faults_of_fixture(bench, path)
        emitted |= {type(event.content) for event in bench.events(path.read_bytes())}
    for content in emitted - set(bench.connector.emits):
        yield f"{content.type}: emitted, but not declared"
    for content in set(bench.connector.emits) - emitted:
        yield f"{content.type}: declared, but no fixture shows it"
    yield from faults_of_features(bench.connector)


def faults_of_features(connector: Receives) -> Iterator[str]:
    """What it emits belongs to one feature, or is for all: nobody gets what they did not choose."""
    brought = [content for feature in connector.features for content in feature.brings]
    for content in connector.emits:
        if (content in FOR_ALL) + brought.count(content) != 1:
            yield f"{content.type}: not of exactly one feature, nor for all"
    for content in set(brought) - set(connector.emits):
        yield f"{content.type}: brought by a feature, but not declared"


def faults_of_fixture(bench: Bench, path: Path) -> Iterator[str]:
    body = path.read_bytes()
    if not expectation(path).exists():
        yield f"{path.name}: a fixture without an expectation"
    elif bench.outcome(body) != json.loads(expectation(path).read_bytes()):
        yield f"{path.name}: does not become what is expected"
    if bench.events(body) != bench.events(body):
        yield f"{path.name}: the second time differs from the first"
    for event in bench.events(body):
        yield from (f"{path.name}: {fault}" for fault in faults_of_event(bench, event))


def faults_of_event(bench: Bench, event: Event) -> Iterator[str]:
    if event.at.utcoffset() is None:
        yield "a time without a time zone"
    if not event.key or not isinstance(event.contact, str | None):
        yield "no key, or a contact that is not text"
    yield from faults_of_media(bench, event)
    written = bench.as_json(event)
    if not jsonschema_rs.is_valid(SCHEMAS[event.content.type], written):
        yield "not valid by its own schema"
    own = {k: v for k, v in written["data"].items() if k not in ("item", "order", "template")}
    yield from (f"{name} is not text" for name in ids_not_text(own))


def faults_of_media(bench: Bench, event: Event) -> Iterator[str]:
    """What is to be fetched is the content's own, and the connector can open it."""
    own = getattr(event.content, "attachment", None)
    named = {
        one.id for one in (*getattr(event.content, "attachments", ()), *([own] if own else []))
    }
    if not {media.attachment for media in event.media} <= named:
        yield "media of an attachment that the content does not have"
    if event.media and not isinstance(bench.connector, KeepsMedia):
        yield "media that nobody opens"


def ids_not_text(value: Any, name: str = "data") -> Iterable[str]:
    """The names of ids in our own part of a message that are anything but text."""
    if isinstance(value, dict):
        for key, entry in value.items():
            if key == "original":
                continue
            if (key == "id" or key.endswith("_id")) and not isinstance(entry, str):
                yield key
            yield from ids_not_text(entry, key)
    elif isinstance(value, list):
        for entry in value:
            if name.endswith("_ids") and not isinstance(entry, str):
                yield name
            yield from ids_not_text(entry, name)
