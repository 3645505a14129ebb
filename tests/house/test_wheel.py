"""An installed gateway has every file that a checkout has."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ["contracts", "storage", "token_vault", "connectors", "workers", "gateway", "sandbox"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of what git tracks: setuptools leaves build directories behind."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "pyproject.toml", "README.md", *PACKAGES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        copy = tmp_path / "source" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((ROOT / name).read_bytes())
    return tmp_path / "source"


def test_wheel_is_complete(source: Path, tmp_path: Path) -> None:
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", *build, "--wheel-dir", tmp_path, source],
        check=True,
        capture_output=True,
    )
    [wheel] = tmp_path.glob("cleverbox_gateway-*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    files = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    ours = {name for name in files if name.split("/")[0] in PACKAGES}
    assert ours
    assert ours - inside == set()
