"""The command itself: how it starts, how it fails, and what the small groups print."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.gateway.cli.conftest import Gateway
from tests.rig import Rig

LOADED = """
import sys
from gateway.__main__ import main
sys.argv = ["gateway", "--help"]
try:
    main()
finally:
    heavy = {"sqlalchemy", "tink", "celery", "starlette", "uvicorn", "httpx", "rich", "alembic"}
    print("loaded:", sorted(heavy & set(sys.modules)))
"""


def test_help_loads_nothing_heavy() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, timeout=60
    )
    assert "Commands:" in ran.stdout
    assert "loaded: []" in ran.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing",),
        ("run", "--port", "0"),
        ("keys", "create"),
        ("keys", "create", "--role", "king"),
        ("keys", "create", "--role", "crm", "--tenant", "No Name"),
        ("connections", "list", "--status", "bogus"),
        ("deliveries", "replay"),
        ("deliveries", "list", "--status", "bogus"),
        ("deliveries", "replay", "itm_1", "--status", "parked"),
        ("deliveries", "replay", "--status", "handled"),
    ],
)
def test_wrong_usage_exits_with_2(gateway: Gateway, arguments: tuple[str, ...]) -> None:
    gateway("db", "upgrade")
    ran = gateway(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"GATEWAY_DATABASE_URL": "mysql://host/db"}, "GATEWAY_DATABASE_URL"),
        ({"GATEWAY_DATABASE_URL": "postgresql://u@h:notaport/x"}, "GATEWAY_DATABASE_URL"),
        ({"GATEWAY_PUBLIC_URL": "http://[bad"}, "GATEWAY_PUBLIC_URL"),
        ({"GATEWAY_PUBLIC_URL": "gateway.example"}, "GATEWAY_PUBLIC_URL"),
        ({"GATEWAY_DATA_DIR": "/proc/x"}, "GATEWAY_DATA_DIR"),
        ({"GATEWAY_RAW_DAYS": "many"}, "GATEWAY_RAW_DAYS"),
        ({"GATEWAY_KEK_URI": "file:x"}, "GATEWAY_KEK_URI"),
        ({"GATEWAY_KEY_CACHE_SECONDS": "301"}, "GATEWAY_KEY_CACHE_SECONDS"),
        ({"GATEWAY_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, "store-unavailable"),
    ],
)
def test_an_expected_error_is_one_line(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], said: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    ran = gateway("db", "upgrade")
    assert ran.code == 1
    assert said in ran.err
    assert len(ran.err.strip().splitlines()) == 1


def test_before_the_first_upgrade_it_says_what_to_do(gateway: Gateway, empty_url: str) -> None:
    ran = gateway("keys", "list")
    assert (ran.code, "gateway db upgrade" in ran.err) == (1, True)


def test_upgrade_may_be_repeated(rig: Rig, gateway: Gateway) -> None:
    assert gateway("db", "upgrade").code == 0
    again = gateway("db", "upgrade")
    assert again.code == 0
    assert "as it was" in again.out


def test_settings_may_stand_in_a_file(gateway: Gateway, folder: Path) -> None:
    (folder / ".env").write_text("META_APP_SECRET=abc\nMETA_VERIFY_TOKEN=def\n")
    gateway("db", "upgrade")
    findings = gateway("check", "--json").json
    assert not [one for one in findings if one["check"] == "facebook" and one["detail"] == "off"]


def test_keys_are_shown_once(rig: Rig, gateway: Gateway) -> None:
    made = gateway("keys", "create", "--role", "crm", "--tenant", "acme", "--name", "core")
    clear = made.out.strip()
    assert clear.startswith("cbg_")
    assert clear not in made.err
    as_json = gateway("keys", "create", "--role", "admin", "--json").json
    assert as_json["key"].startswith("cbg_")
    listed = gateway("keys", "list", "--json")
    assert [(one["role"], one["tenant"]) for one in listed.json] == [
        ("crm", "acme"),
        ("admin", None),
    ]
    assert clear not in listed.out
    assert "key" not in listed.json[0]


def test_a_key_is_revoked(rig: Rig, gateway: Gateway) -> None:
    made = gateway("keys", "create", "--role", "operator", "--json").json
    revoked = gateway("keys", "revoke", made["id"], "--json").json
    assert revoked["revoked_at"]
    assert gateway("keys", "revoke", made["id"], "--json").json == revoked
    assert gateway("keys", "revoke", "key_none").code == 1


def test_an_empty_list_says_so_beside_the_output(rig: Rig, gateway: Gateway) -> None:
    ran = gateway("keys", "list")
    assert (ran.code, ran.out) == (0, "")
    assert "no keys" in ran.err
    assert gateway("keys", "list", "--json").json == []
