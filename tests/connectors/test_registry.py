"""Providers are on when their settings are there."""

import hashlib
import hmac
from datetime import date
from pathlib import Path

import pytest

from connectors.registry import PROVIDERS, build
from contracts.connector import Delivery
from contracts.errors import BadSignature, Misconfigured

META = {"META_APP_SECRET": "s", "META_VERIFY_TOKEN": "v", "META_APP_ID": "1"}


def test_a_provider_with_its_settings_is_on() -> None:
    registry = build(META)
    assert registry.connectors["facebook"].name == "facebook"
    assert registry.endpoints["meta"].path == "meta"
    assert registry.off.keys().isdisjoint({"facebook"})


@pytest.mark.parametrize("missing", ["META_APP_SECRET", "META_VERIFY_TOKEN"])
def test_a_provider_without_them_is_off_and_says_why(missing: str) -> None:
    for value in ({}, {missing: ""}):
        registry = build({k: v for k, v in META.items() if k != missing} | value)
        assert registry.off["facebook"] == missing
        assert not registry.connectors
        assert not registry.endpoints


INSTAGRAM = {"INSTAGRAM_APP_SECRET": "i", "META_VERIFY_TOKEN": "v", "INSTAGRAM_APP_ID": "2"}


def test_instagram_needs_one_of_two_apps() -> None:
    for environ in (META, INSTAGRAM, META | INSTAGRAM):
        registry = build(environ)
        assert registry.connectors["instagram"].name == "instagram"
        assert "instagram" not in registry.off
    assert build(INSTAGRAM).off["facebook"] == "META_APP_SECRET"
    none = build({"META_VERIFY_TOKEN": "v"})
    assert none.off["instagram"] == "META_APP_SECRET or INSTAGRAM_APP_SECRET"
    without_token = build({k: v for k, v in INSTAGRAM.items() if k != "META_VERIFY_TOKEN"})
    assert without_token.off["instagram"] == "META_VERIFY_TOKEN"
    assert not none.endpoints
    assert not without_token.endpoints


@pytest.mark.parametrize("environ", [META, INSTAGRAM, META | INSTAGRAM])
def test_the_one_endpoint_has_the_secrets_of_every_app(environ: dict[str, str]) -> None:
    (endpoint,) = build(environ).endpoints.values()
    assert (
        endpoint.handshake({"hub.mode": "subscribe", "hub.verify_token": "v", "hub.challenge": "7"})
        == "7"
    )
    secrets = {"META_APP_SECRET": "meta", "INSTAGRAM_APP_SECRET": "instagram"}
    for setting, signer in secrets.items():
        delivery = _signed(environ.get(setting, "nobody's").encode())
        if setting in environ:
            assert endpoint.verify(delivery).signer == signer
        else:
            with pytest.raises(BadSignature):
                endpoint.verify(delivery)


def _signed(secret: bytes) -> Delivery:
    body = b'{"object":"instagram","entry":[{"id":"1"}]}'
    digest = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return Delivery(headers={"x-hub-signature-256": f"sha256={digest}"}, body=body)


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s\n")
    environ = META | {"META_APP_SECRET": "", "META_APP_SECRET_FILE": str(tmp_path / "secret")}
    assert "facebook" not in build(environ).off


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(Misconfigured, match="META_GRAPH_VERSION"):
        build(META | {"META_GRAPH_VERSION": "24"})


def test_providers_of_one_callback_url_share_it() -> None:
    registry = build(META, [*PROVIDERS, *PROVIDERS])
    assert len(registry.endpoints) == 1


@pytest.mark.parametrize(
    ("environ", "today", "finding"),
    [
        (META, date(2026, 11, 22), None),
        (META, date(2028, 2, 1), "META_GRAPH_VERSION v24.0 ends on 2028-02-18"),
        (META, date(2028, 2, 18), "META_GRAPH_VERSION v24.0 ended on 2028-02-18"),
        (META | {"META_GRAPH_VERSION": "v19.0"}, date(2026, 11, 22), "v19.0 ended on 2026-05-21"),
        (META | {"META_APP_ID": ""}, date(2026, 11, 22), "META_APP_ID is not set"),
    ],
)
def test_what_an_operator_should_mend(
    environ: dict[str, str], today: date, finding: str | None
) -> None:
    findings = build(environ).connectors["facebook"].findings(today)
    assert [finding in text for text in findings if finding] == ([True] if finding else [])
    assert bool(findings) == bool(finding)


def test_instagram_asks_for_the_id_of_its_app() -> None:
    for environ, said in (
        (META, False),
        (INSTAGRAM, False),
        (META | INSTAGRAM | {"INSTAGRAM_APP_ID": ""}, True),
    ):
        findings = build(environ).connectors["instagram"].findings(date(2026, 11, 25))
        assert bool(findings) == said
        assert all("INSTAGRAM_APP_ID is not set" in text for text in findings)
