"""The command in this process: its exit code and what it printed."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gateway.__main__ import run as run_command
from tests.rig import Rig


class Ran(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Gateway = Callable[..., Ran]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with no setting of this machine."""
    for name in ("GATEWAY_DATABASE_URL", "GATEWAY_KEYSTORE_URL", "GATEWAY_KEK_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GATEWAY_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("GATEWAY_PUBLIC_URL", "http://127.0.0.1:9")
    for name in ("META_APP_SECRET", "META_VERIFY_TOKEN", "META_APP_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def gateway(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Gateway:
    """`gateway("keys", "list", stdin="")`."""

    def run(*arguments: str, stdin: str = "") -> Ran:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run_command(arguments)
        printed = capsys.readouterr()
        code = ended.value.code
        return Ran(code if isinstance(code, int) else 0, printed.out, printed.err)

    return run


@pytest.fixture
def rig(database_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """A deployment on each database, and the command's settings pointed at it."""
    monkeypatch.setenv("GATEWAY_DATABASE_URL", database_url)
    rig = Rig(database_url, folder / "var")
    yield rig
    rig.close()
