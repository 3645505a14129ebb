"""Who writes is told by name and picture, to who may ask."""

from tests.sandbox.logins import ACCOUNT, Login
from tests.sandbox.stage import PAGE

OF_PAGE, OF_ACCOUNT = "first_name,last_name,profile_pic", "name,username,profile_pic"


def contact(login: Login, asset: str) -> str:
    """Somebody who has written."""
    path = f"/api/pages/{asset}/contacts"
    answer = login.http.post(path, json={"name": "Ada Lovelace", "psid": "4242"})
    assert answer.is_success, answer.text
    return "4242"


def test_a_page_is_told_who_writes_to_it(login: Login) -> None:
    token = login.page_token(login.facebook(), PAGE)
    who = contact(login, PAGE)
    told = login.graph("GET", f"/{who}", token, fields=OF_PAGE).json()
    assert (told["first_name"], told["last_name"]) == ("Ada", "Lovelace")
    assert told["profile_pic"].startswith("https://")
    stranger = login.graph("GET", "/999", token, fields=OF_PAGE).json()
    assert stranger["error"]["error_subcode"] == 2018218
    login.control("switches", profiles_hidden=True)
    assert login.graph("GET", f"/{who}", token, fields=OF_PAGE).json() == {}


def test_an_account_is_told_who_agreed(login: Login) -> None:
    token = login.instagram()
    who = contact(login, ACCOUNT)
    told = login.ig("GET", f"/v24.0/{who}", token, fields=OF_ACCOUNT).json()
    assert (told["name"], told["username"]) == ("Ada Lovelace", "ada.lovelace")
    login.control("switches", profiles_hidden=True)
    refused = login.ig("GET", f"/v24.0/{who}", token, fields=OF_ACCOUNT).json()
    assert refused["error"]["code"] == 230
