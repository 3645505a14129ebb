"""Consents on the connect pages, up to a provider that repeats the code in its refusal."""

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

from tests.leaks.grants import TENANT
from tests.leaks.paths import Play

LOGINS: Final = {"facebook": "meta", "google_calendar": "google"}
"""Provider → the login by which it is connected."""


def begun(play: Play) -> None:
    """One of each login: link, page, dialog, answer; and answers that belong to nobody."""
    for provider, login in LOGINS.items():
        token = _link(play, provider)
        state = _asked(play, provider, token)
        code = play.planted.secret(f"{provider} code", "4/0")
        callback, answer = f"/oauth/{login}/callback", {"state": state, "code": code}
        unknown = {"state": code, "error": code, "error_description": code}
        _visit(play, callback, answer, ("other", "1"))
        assert _visit(play, callback, answer, play.cookie) == 303
        _visit(play, callback, answer, play.cookie)  # it is used by now
        _visit(play, callback, unknown, play.cookie)
        _visit(play, f"/connect/{token}", {}, play.cookie)


def _visit(play: Play, path: str, asked: dict[str, str], cookie: tuple[str, str]) -> int:
    with play.stage.client("") as browser:
        browser.cookies.set(*cookie)
        return browser.get(path, params=asked).status_code


def _link(play: Play, provider: str) -> str:
    business = play.planted.secret("business name", "Zoë's ")
    new = {"tenant": TENANT, "provider": provider, "business": business}
    with play.stage.client(play.crm) as client:
        back = {"return_url": f"http://localhost/?crm={play.planted.secret('return URL')}"}
        made = client.post("/v1/connect-sessions", json=new | back)
    assert made.status_code == 201, made.text
    token = urlsplit(made.json()["url"]).path.rpartition("/")[2]
    return play.planted.given(f"{provider} link", token)


def _asked(play: Play, provider: str, token: str) -> str:
    """The state that goes to the provider; the cookie is the browser's."""
    with play.stage.client("") as browser:
        page = browser.get(f"/connect/{token}")
        found = re.search(r'name="proof" value="(\w+)"', page.text)
        assert found
        proof = play.planted.given(f"{provider} proof", found[1])
        ((name, value),) = browser.cookies.items()
        play.planted.given(f"{provider} cookie", value.partition(".")[0])
        play.cookie = name, value
        asked = browser.post(f"/connect/{token}/ask", data={"proof": proof})
    assert asked.status_code == 303, asked.text
    (state,) = parse_qs(urlsplit(asked.headers["location"]).query)["state"]
    return play.planted.given(f"{provider} state", state)
