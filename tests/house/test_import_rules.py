"""The import rules let through what the design allows, and catch what it forbids."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"

ALLOWED = {
    "contracts/__init__.py": "",
    "contracts/messages.py": "import msgspec",
    "storage/__init__.py": "",
    "storage/inbox.py": "import contracts.messages, sqlalchemy",
    "token_vault/__init__.py": "",
    "token_vault/vault.py": "import contracts.messages, storage.inbox, tink",
    "connectors/__init__.py": "",
    "connectors/registry.py": "import connectors.facebook, connectors.gmail.events",
    "connectors/kit/__init__.py": "",
    "connectors/kit/transport.py": "import contracts.messages, httpx",
    "connectors/facebook/__init__.py": "import connectors.facebook.events",
    "connectors/facebook/events.py": "import connectors.kit.transport, contracts.messages",
    "connectors/gmail/__init__.py": "import connectors.kit.transport",
    "connectors/gmail/events.py": "",
    "workers/__init__.py": "",
    "workers/queue.py": "import celery",
    "workers/drain.py": "import connectors.registry, storage.inbox, token_vault.vault",
    "gateway/__init__.py": "",
    "gateway/client.py": "import contracts.messages, httpx",
    "gateway/app.py": "import starlette, workers.queue, connectors.registry, token_vault.vault",
    "sandbox/__init__.py": "",
    "sandbox/app.py": "import starlette",
}

FORBIDDEN = [
    ("contracts/messages.py", "storage.inbox", "layers"),
    ("storage/inbox.py", "token_vault.vault", "layers"),
    ("storage/inbox.py", "connectors.registry", "layers"),
    ("token_vault/vault.py", "connectors.kit", "layers"),
    ("connectors/kit/transport.py", "token_vault.vault", "layers"),
    ("connectors/facebook/events.py", "storage.inbox", "connectors-pure"),
    ("connectors/facebook/events.py", "sqlalchemy", "connectors-pure"),
    ("connectors/gmail/events.py", "celery", "connectors-pure"),
    ("connectors/kit/transport.py", "starlette", "connectors-pure"),
    ("connectors/gmail/events.py", "connectors.facebook.events", "connectors-apart"),
    ("connectors/kit/transport.py", "connectors.gmail.events", "connectors-apart"),
    ("connectors/kit/transport.py", "connectors.registry", "connectors-apart"),
    ("workers/drain.py", "gateway.app", "layers"),
    ("gateway/app.py", "workers.drain", "edge-enqueues"),
    ("sandbox/app.py", "contracts.messages", "sandbox-imports-nothing"),
    ("gateway/app.py", "sandbox.app", "sandbox-is-a-program"),
    ("gateway/client.py", "storage.inbox", "client-stands-alone"),
    ("gateway/client.py", "gateway.app", "client-stands-alone"),
    ("storage/inbox.py", "tink", "keys-in-the-vault"),
    ("gateway/app.py", "celery", "celery-in-the-workers"),
]


def _lint(tree: Path, rule: str | None = None) -> tuple[int, str]:
    only = ["--contract", rule] if rule else []
    program = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run(
        [program, "--no-cache", "--no-logo", *only],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, imports in ALLOWED.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{imports}\n")
    (tmp_path / "pyproject.toml").write_bytes(PYPROJECT.read_bytes())
    return tmp_path


def test_what_the_design_allows_passes(tree: Path) -> None:
    code, output = _lint(tree)
    assert code == 0, output


@pytest.mark.parametrize(("importer", "imported", "rule"), FORBIDDEN)
def test_what_the_design_forbids_is_caught(
    tree: Path, importer: str, imported: str, rule: str
) -> None:
    with (tree / importer).open("a") as file:
        file.write(f"import {imported}\n")
    code, output = _lint(tree, rule)
    assert code == 1, output
    assert "BROKEN" in output
