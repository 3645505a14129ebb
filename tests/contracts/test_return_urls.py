"""Where people may be sent back to: nowhere that an entry of the list does not cover."""

import pytest

from contracts.errors import Misconfigured
from contracts.settings import Settings

LIST = "https://crm.example/done, https://apps.example http://localhost:3000/x/"
OURS = Settings(public_url="https://gateway.example", return_urls=LIST)


@pytest.mark.parametrize(
    "url",
    [
        "https://crm.example/done",
        "https://crm.example:443/done",
        "https://CRM.example/done",
        "https://crm.example/done/",
        "https://crm.example/done/1?tab=2",
        "https://apps.example",
        "https://apps.example/any/path?x=https://evil.example",
        "http://localhost:3000/x/y",
    ],
)
def test_what_an_entry_covers_is_allowed(url: str) -> None:
    assert OURS.may_return_to(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://crm.example/done2",
        "https://crm.example/",
        "https://crm.example",
        "https://crm.example/DONE",
        "http://crm.example/done",
        "https://crm.example:8443/done",
        "https://crm.example.evil.example/done",
        "https://crm.example@evil.example/done",
        "https://evil.example/https://crm.example/done",
        "https://evil.example#@crm.example/done",
        "https://evil.example\\@crm.example/done",
        "https://crm.example\\.evil.example/done",
        "https://crm.example/done/../admin",
        "https://crm.example/done/%2e%2e/admin",
        "https://crm.example/done/%252e%252e/admin",
        "https://crm.example/done/..%2fadmin",
        "https://crm.example/done/..%5cadmin",
        "https://crm.example/done#x",
        "https://crm.example/done\n",
        "https://crm.example/done x",
        "https://crm.example:x/done",
        "https://crm.example:99999/done",
        "https:///done",
        "//crm.example/done",
        "/done",
        "javascript:alert(1)//https://crm.example/done",
        "data:text/html,x",
        "https://\u0441rm.example/done",
        "http://localhost:3000/x",
        "http://localhost/x/",
        "",
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    assert not OURS.may_return_to(url)


@pytest.mark.parametrize(
    ("public", "url", "allowed"),
    [
        ("http://localhost:8080", "http://127.0.0.1:3000/x", True),
        ("http://127.0.0.1:8080", "http://localhost/x", True),
        ("http://localhost:8080", "https://crm.example/done", False),
        ("https://gateway.example", "http://localhost:3000/x", False),
        ("https://gateway.example", "https://gateway.example/", False),
    ],
)
def test_without_a_list_people_stay_on_this_machine(public: str, url: str, allowed: bool) -> None:
    assert Settings(public_url=public).may_return_to(url) is allowed


@pytest.mark.parametrize(
    "entry",
    [
        "crm.example",
        "http://crm.example/",
        "https://crm.example/?x=1",
        "https://crm.example/#x",
        "https://user@crm.example/",
        "https://crm.example/../",
        "*",
        "https://*.example/ü",
    ],
)
def test_an_entry_that_is_none_is_named(entry: str) -> None:
    with pytest.raises(Misconfigured, match=r"GATEWAY_RETURN_URLS: .* is not https"):
        Settings(public_url="https://gateway.example", return_urls=entry)


def test_policy_and_its_version_belong_together() -> None:
    Settings(policy_url="https://crm.example/privacy", policy_version="3")
    with pytest.raises(Misconfigured, match="belong together"):
        Settings(policy_url="https://crm.example/privacy")
    with pytest.raises(Misconfigured, match="GATEWAY_POLICY_URL must be"):
        Settings(policy_url="privacy", policy_version="3")
