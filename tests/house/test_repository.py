"""What every file of the repository must keep to, and what the lock promises."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = ["requirements.txt", "requirements-dev.txt"]

# Put together here, so that this file does not contain them.
MACHINE_PATHS = ["".join(parts) for parts in [("/ro", "ot/"), ("/ho", "me/"), ("/wo", "rk/")]]
REGISTRIES = [
    "".join(parts)
    for parts in [
        ("py", "pi.org"),
        ("pythonhosted", ".org"),
        ("npmjs", ".org"),
        ("npmjs", ".com"),
        ("deb.debian", ".org"),
        ("snapshot.debian", ".org"),
        ("docker", ".io"),
        ("ghcr", ".io"),
        ("anaconda", ".org"),
        ("/opt/", "pypi"),
        ("extra-", "index-url"),
    ]
]
SECRETS = ["".join(parts) for parts in [("-----BEGIN ", "PRIVATE"), ("-----BEGIN ", "RSA")]]


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


@pytest.mark.parametrize("forbidden", [*MACHINE_PATHS, *REGISTRIES, *SECRETS])
def test_no_file_names_a_machine_a_registry_or_a_key(forbidden: str) -> None:
    found = [path for path in _tracked() if forbidden.encode() in path.read_bytes()]
    assert [str(path.relative_to(ROOT)) for path in found] == []


@pytest.mark.parametrize("name", LOCKS)
def test_lock_has_only_exact_versions_with_hashes(name: str) -> None:
    text = (ROOT / name).read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(lines) > 50
    wrong = [
        line for line in lines if not re.fullmatch(r"\S+==\S+( .*)?( +--hash=sha256:\w+)+", line)
    ]
    assert wrong == []


def _pins(name: str) -> dict[str, str]:
    pins = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE)
    return {canonicalize_name(package): version for package, version in pins}


def test_lock_answers_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {
        "requirements.txt": project["dependencies"],
        "requirements-dev.txt": [
            *project["dependencies"],
            *project["optional-dependencies"]["dev"],
        ],
    }
    for name, requirements in asked.items():
        pins = _pins(name)
        for requirement in map(Requirement, requirements):
            assert pins[canonicalize_name(requirement.name)] in requirement.specifier


def test_locks_agree() -> None:
    runtime, dev = (_pins(name) for name in LOCKS)
    assert {package: dev.get(package) for package in runtime} == runtime


def test_scripts_can_be_executed() -> None:
    scripts = [path for path in _tracked() if path.read_bytes()[:2] == b"#!"]
    assert [path.name for path in scripts if not os.access(path, os.X_OK)] == []
