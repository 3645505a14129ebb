"""Text that must survive: what is in the feed is what was written, and the phone shows what was
sent, to the code point, at all three providers.
"""

import hashlib
import hmac
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import httpx
import pytest

from tests.e2e.crm import Crm
from tests.e2e.provider import Provider
from tests.e2e.stack import Feed, Json, Run
from tests.e2e.visitor import connected
from tests.e2e.wire import now_ms
from tests.sandbox.stage import Phone, wait_until

PROVIDERS: Final = ("facebook", "instagram", "whatsapp")
ASTRAL: Final = "\U0001d4b3🥖🏽𐍈"
"""Four code points of four bytes each, two UTF-16 units each."""
TEXTS: Final = {
    "skin tones": "👍🏻👍🏿 👩🏽‍🌾 🤝🏽",
    "joined": "👨‍👩‍👧‍👦 🏳️‍🌈 🧑‍🤝‍🧑 ❤️‍🔥 1️⃣",
    "flags": "🇺🇦🇩🇪 \U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "right to left": "שָׁלוֹם, Anna! مَرْحَبًا \u200fא\u200f \u202eabc\u202c \u2067שבת\u2069",
    "combining": "Z\u0351\u036b\u0343 e\u0301 \u00e9 \u1100\u1161 \uac00 ก็ क्षि \u212b \ufb01",
    "spaces": "  \u00a0\u2003in\tthe\r\nmiddle\u200b\u2028\u2029\ufeff  ",
    "syntax": '</script> "quoted" \\u0041 \\\\ \\/ {"a":[1]} %00 &amp; \' ; --',
    "ends of planes": "\x01\x1f\x7f\x80\x85\uffff\ufffe\ufdd0\U0001fffe\U0010ffff",
    "4096 of four bytes": ASTRAL * 1024,
}
SHORT: Final = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f"} | {
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}
ESCAPED: Final = '"\\/\b\f\n\r\t äÄ¿ Ж ש\u05c1 e\u0301 \u2028 👩🏽‍🌾 \U0001d4b3'
"""Everything that JSON has an escape of its own for, and of each length in UTF-8."""


def units(text: str, template: str) -> str:
    """Each UTF-16 unit as an escape."""
    raw = text.encode("utf-16-be")
    return "".join(template.format(raw[n] << 8 | raw[n + 1]) for n in range(0, len(raw), 2))


FORMS: Final[dict[str, Callable[[str], str]]] = {
    "as Meta writes it": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "UTF-8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "all in lower case": lambda text: units(text, "\\u{:04x}"),
    "all in upper case": lambda text: units(text, "\\u{:04X}"),
    "short where there is one": lambda text: "".join(SHORT.get(one, one) for one in text),
    "every other one": lambda text: "".join(
        units(one, "\\u{:04x}") if n % 2 else json.dumps(one, ensure_ascii=False)[1:-1]
        for n, one in enumerate(text)
    ),
}
"""How the same text may be written into a JSON string."""


class Desk(NamedTuple):
    """An account of a tenant of its own, and somebody who writes to it."""

    provider: str
    account: str
    connection: str
    phone: Phone
    feed: Feed

    def texts(self, count: int) -> list[str]:
        """So many texts of the contact, as the feed has them."""

        def theirs(found: list[Json]) -> list[str]:
            kind = "cleverbox.message.received"
            return [one["data"]["text"] for one in found if one["type"] == kind]

        return theirs(self.feed.until(lambda found: len(theirs(found)) >= count, 20))


@pytest.fixture(params=PROVIDERS)
def desk(request: pytest.FixtureRequest, run: Run, crm: Crm, provider: Provider) -> Iterator[Desk]:
    account, connection, phone = CONNECT[str(request.param)](run, crm, provider)
    with crm.feed(f"writer-{account}") as feed:
        yield Desk(str(request.param), account, connection, phone, feed)


def of_a_person(name: str) -> Callable[[Run, Crm, Provider], tuple[str, str, Phone]]:
    """Connect as the owner does."""

    def connect(_: Run, crm: Crm, provider: Provider) -> tuple[str, str, Phone]:
        if name == "facebook":
            owner = provider.facebook_person("Owner")
            account = provider.page(owner)
        else:
            owner = account = provider.instagram_account("Owner")
        return account, connected(crm, f"writer-{account}", name, owner), provider.phone(account)

    return connect


def by_hand(run: Run, crm: Crm, provider: Provider) -> tuple[str, str, Phone]:
    """Connect a number with a system user's token."""
    waba, number, token = provider.whatsapp_number("By hand")
    named = ("--tenant", f"writer-{number}", "--provider", "whatsapp", "--account", number)
    added = run.command(
        "connections", "add", *named, "--parent", waba, "--token-stdin", stdin=token
    )
    crm.resync(added["id"])
    wait_until(lambda: provider.hears(waba), 20)
    return number, added["id"], provider.whatsapp_phone(number)


CONNECT: Final = {
    "facebook": of_a_person("facebook"),
    "instagram": of_a_person("instagram"),
    "whatsapp": by_hand,
}


def test_what_is_in_the_feed_is_what_was_written(desk: Desk, run: Run) -> None:
    for text in TEXTS.values():
        desk.phone.write(text)
    assert dict(zip(TEXTS, desk.texts(len(TEXTS)), strict=True)) == TEXTS
    with httpx.Client(base_url=run.url, trust_env=False) as meta:
        for form in FORMS.values():
            body = BODIES[desk.provider](desk, form(ESCAPED)).encode()
            answer = meta.post("/webhooks/meta", content=body, headers=signed(run, desk, body))
            assert answer.status_code == 200, answer.text
    found = desk.texts(len(FORMS))
    assert dict(zip(FORMS, found, strict=True)) == dict.fromkeys(FORMS, ESCAPED)


LONGEST: Final = {"facebook": ASTRAL * 500, "instagram": ASTRAL * 62, "whatsapp": ASTRAL * 1024}
"""2,000 characters, 1,000 bytes, and 4,096 characters."""


def test_what_is_sent_is_what_the_phone_shows(desk: Desk, crm: Crm) -> None:
    desk.phone.write("hello")
    (hello,) = desk.feed.until(lambda found: "hello" in str(found))[-1:]
    said = [*list(TEXTS.values())[:-1], ESCAPED, LONGEST[desk.provider]]
    sends = []
    for n, text in enumerate(said):
        to = {"connection": desk.connection, "conversation": hello["subject"]}
        answer = crm.send(f"{desk.account}-{n}", **to, text=text)
        assert answer.status_code == 202, answer.text
        sends.append(answer.json()["id"])
    assert [crm.outcome(it, "sent", "failed")["status"] for it in sends] == ["sent"] * len(said)
    shown = [one["text"] for one in desk.phone.bubbles() if one["author"] == "page"]
    assert shown == said


# Bodies as Meta's, around a text that is written already

_numbers = itertools.count(1)


def messaging(kind: str) -> Callable[[Desk, str], str]:
    """A message to a Page, or to an Instagram account."""

    def body(desk: Desk, text: str) -> str:
        contact, at = desk.phone.path.rpartition("/")[2], now_ms()
        message = f'{{"mid":"m_text_{next(_numbers)}","text":"{text}"}}'
        ends = f'"sender":{{"id":"{contact}"}},"recipient":{{"id":"{desk.account}"}}'
        update = f'{{{ends},"timestamp":{at},"message":{message}}}'
        entry = f'{{"id":"{desk.account}","time":{at},"messaging":[{update}]}}'
        return f'{{"object":"{kind}","entry":[{entry}]}}'

    return body


def of_whatsapp(desk: Desk, text: str) -> str:
    """A message to a number."""
    contact, at = desk.phone.path.rpartition("/")[2], now_ms() // 1000
    head = f'"from":"{contact}","id":"wamid.text{next(_numbers)}","timestamp":"{at}"'
    message = f'{{{head},"type":"text","text":{{"body":"{text}"}}}}'
    metadata = f'{{"display_phone_number":"15","phone_number_id":"{desk.account}"}}'
    value = f'"messaging_product":"whatsapp","metadata":{metadata},"messages":[{message}]'
    change = f'{{"value":{{{value}}},"field":"messages"}}'
    entry = f'{{"id":"1","changes":[{change}]}}'
    return f'{{"object":"whatsapp_business_account","entry":[{entry}]}}'


BODIES: Final = {
    "facebook": messaging("page"),
    "instagram": messaging("instagram"),
    "whatsapp": of_whatsapp,
}


def signed(run: Run, desk: Desk, body: bytes) -> dict[str, str]:
    """The header that Meta, or Instagram's own app, signs it with."""
    name = "instagram_app_secret" if desk.provider == "instagram" else "app_secret"
    secret = (run.data_dir / "sandbox" / name).read_bytes().strip()
    digest = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return {"x-hub-signature-256": f"sha256={digest}", "content-type": "application/json"}
