"""Commands beside `gateway run` know what it made up, for as long as it lives."""

import multiprocessing
import os
from pathlib import Path

from contracts.settings import environment
from gateway.cli.beside import NAME, known, told
from tests.gateway.cli.conftest import Gateway

MADE = {"META_APP_SECRET": "of the demo", "GATEWAY_PUBLIC_URL": "http://localhost:1"}


def data_dir(folder: Path) -> Path:
    made = folder / "var"
    made.mkdir()
    return made


def test_they_know_it_while_it_runs_and_their_own_settings_go_first(folder: Path) -> None:
    given = dict(environment())
    assert "META_APP_SECRET" not in known(given)
    with told(data_dir(folder), given, given | MADE):
        file = folder / "var" / NAME
        assert file.stat().st_mode & 0o777 == 0o600
        assert "PATH" not in file.read_text(), "no more than was made up"
        assert known(environment())["META_APP_SECRET"] == "of the demo"
        assert known(given | {"META_APP_SECRET": "own"})["META_APP_SECRET"] == "own"
        assert known(given | {"META_APP_SECRET": ""})["META_APP_SECRET"] == "of the demo"
        assert known(given | {"GATEWAY_DATA_DIR": "elsewhere"}).get("META_APP_SECRET") is None
    assert not file.exists()
    assert "META_APP_SECRET" not in known(environment())


def killed(folder: Path) -> None:
    with told(folder, {}, MADE):
        os._exit(9)


def test_what_a_killed_run_left_counts_no_more(folder: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=killed, args=[data_dir(folder)])
    process.start()
    process.join()
    assert (folder / "var" / NAME).exists()
    assert "META_APP_SECRET" not in known(environment())


def test_a_command_uses_it(folder: Path, gateway: Gateway) -> None:
    made = {"META_APP_SECRET": "of the demo", "META_VERIFY_TOKEN": "verify"}
    with told(data_dir(folder), {}, made):
        assert "META_APP_SECRET" not in gateway("check").out
    assert "META_APP_SECRET" in gateway("check").out
