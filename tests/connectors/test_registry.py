"""Providers are on when their settings are there."""

from datetime import date
from pathlib import Path

import pytest

from connectors.registry import PROVIDERS, build
from contracts.errors import Misconfigured

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
