"""What holds for every connector that sends, and what fits into a message."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from pytest_httpx import HTTPXMock

from connectors.kit.meta.messaging.sending import INSTAGRAM, MESSENGER
from connectors.kit.transport.transport import Transport
from connectors.registry import PROVIDERS, build
from contracts.connector import Connector
from contracts.errors import OutcomeUnknown, Permanent, Retryable
from contracts.sending import Attached, Outgoing, Rules, Sends, SuggestedReply
from tests.rig import ENVIRON as META

ENVIRON = META | {"INSTAGRAM_APP_ID": "2", "INSTAGRAM_APP_SECRET": "secret"}
SENDING = [line.connector for line in PROVIDERS if issubclass(line.connector, Sends)]
PICTURE = Attached("image", "https://example.com/a.jpg")


def _outgoing(**fields: Any) -> Outgoing:
    return Outgoing(**{"id": "snd_1", "account": "1", "what": "message", "to": "2"} | fields)


@pytest.mark.parametrize("connector", SENDING, ids=lambda kind: kind.name)
def test_what_it_sends_needs_a_feature_of_its_own(connector: type[Connector]) -> None:
    assert issubclass(connector, Sends)
    features = {feature.name for feature in connector.features}
    assert {rules.feature for rules in connector.sending.values()} <= features
    assert connector.sending["message"].text > 0


STRANGE = (
    "1/subscribed_apps?subscribed_fields=feed&x=",
    "1/../2",
    "1?a",
    "1#",
    "",
    "\u0661",
    "1\n",
)


@pytest.mark.parametrize("connector", SENDING, ids=lambda kind: kind.name)
@pytest.mark.parametrize("strange", STRANGE)
def test_no_id_becomes_another_address(
    connector: type[Connector], strange: str, httpx_mock: HTTPXMock
) -> None:
    """Nothing is asked for: `httpx_mock` would know no answer."""
    sends = build(ENVIRON).connectors[connector.name]
    assert isinstance(sends, Sends)
    wrong = [_outgoing(account=strange, text="a")]
    if "public_reply" in sends.sending:
        wrong.append(_outgoing(what="public_reply", to=strange, text="a"))
    for one in wrong:
        with httpx.Client() as client, pytest.raises(Permanent, match="the id is none"):
            sends.send(client, one)
    assert httpx_mock.get_requests() == []


@pytest.mark.parametrize(
    ("rules", "fields", "fault"),
    [
        (MESSENGER["message"], {"text": "x" * 2_000}, ""),
        (MESSENGER["message"], {"text": "x" * 2_001}, "2001 characters"),
        (INSTAGRAM["message"], {"text": "😀" * 250}, ""),
        (INSTAGRAM["message"], {"text": "😀" * 251}, "1004 bytes"),
        (MESSENGER["message"], {"text": "  "}, "nothing to send"),
        (MESSENGER["message"], {"attachments": (PICTURE,)}, ""),
        (MESSENGER["message"], {"text": "a", "attachments": (PICTURE,)}, "two messages"),
        (MESSENGER["message"], {"attachments": (PICTURE, PICTURE)}, "1 at most"),
        (MESSENGER["private_reply"], {"attachments": (PICTURE,)}, "image cannot be sent"),
        (MESSENGER["public_reply"], {"text": "a", "attachments": (PICTURE,)}, ""),
        (
            MESSENGER["message"],
            {"text": "a", "quick_replies": (SuggestedReply("a", "b"),) * 14},
            "13 at most",
        ),
        (INSTAGRAM["public_reply"], {"text": "a", "reply_to": "m_1"}, "reply_to cannot"),
        (INSTAGRAM["private_reply"], {"text": "a", "human_agent": True}, "human_agent cannot"),
        (INSTAGRAM["message"], {"interactive": {}}, "interactive cannot"),
        (INSTAGRAM["message"], {"text": "a", "template": {}}, "a template goes alone"),
        (MESSENGER["message"], {"attachments": (PICTURE,), "template": {}}, "goes alone"),
        (MESSENGER["message"], {"template": {}, "quick_replies": (SuggestedReply("a", "b"),)}, ""),
    ],
)
def test_what_fits(rules: Rules, fields: dict[str, Any], fault: str) -> None:
    found = rules.faults(_outgoing(**fields))
    assert [fault in words for words in found] == [True] if fault else found == []


def test_which_window_counts() -> None:
    rules = MESSENGER["message"]
    assert rules.open_for(_outgoing(text="a")) == timedelta(hours=24)
    assert rules.open_for(_outgoing(text="a", human_agent=True)) == timedelta(days=7)
    assert rules.open_for(_outgoing(template={})) == timedelta(hours=24)
    templates = rules._replace(template_any_time=True)
    assert templates.open_for(_outgoing(template={})) is None
    assert MESSENGER["public_reply"].open_for(_outgoing(text="a")) is None


@pytest.mark.parametrize("connector", SENDING, ids=lambda kind: kind.name)
@pytest.mark.parametrize(
    ("trouble", "kind"),
    [(httpx.ReadTimeout("TOKEN1"), OutcomeUnknown), (httpx.ConnectError("TOKEN1"), Retryable)],
)
def test_only_what_was_never_sent_may_be_sent_again(
    connector: type[Connector],
    trouble: Exception,
    kind: type[Exception],
    httpx_mock: HTTPXMock,
) -> None:
    sends = build(ENVIRON).connectors[connector.name]
    assert isinstance(sends, Sends)
    httpx_mock.add_exception(trouble)
    with Transport().client() as client, pytest.raises(kind) as caught:
        sends.send(client, _outgoing(text="Hello"))
    assert type(caught.value) is kind
    assert "TOKEN1" not in str(caught.value)
