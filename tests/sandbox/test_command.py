"""`python -m sandbox serve`: one line, settings from everywhere, a graceful end."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.conftest import Spawn
from tests.sandbox.stage import Receiver

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "sandbox", "serve", "--port", "0"]
CLEAN = dict.fromkeys(("META_APP_SECRET", "META_VERIFY_TOKEN", "SANDBOX_PAGES"), "")


def address(output: str) -> str:
    (line,) = output.splitlines()
    return line.removeprefix("sandbox: ")


def test_settings_from_the_environment_and_a_graceful_end(spawn: Spawn, webhook_url: str) -> None:
    environment = {
        "META_APP_SECRET": "test-secret",
        "META_VERIFY_TOKEN": "let-me-in",
        "SANDBOX_WEBHOOK_URL": webhook_url,
        "SANDBOX_PAGES": '{"42": "Corner Bakery", "43": "Second"}',
    }
    child = spawn(COMMAND, env=environment, cwd=ROOT, name="sandbox")
    base = address(child.wait_for("\n"))
    document = httpx.get(f"{base}/api/pages", trust_env=False).json()
    assert [page["name"] for page in document["pages"]] == ["Corner Bakery", "Second"]
    assert document["webhook_url"] == webhook_url
    assert child.terminate() == 0
    assert address(child.output()) == base


def test_settings_from_options(
    spawn: Spawn, webhook_url: str, receiver: Receiver, tmp_path: Path
) -> None:
    secret = tmp_path / "app-secret"
    secret.write_text("test-secret\n")
    options = ["--app-secret-file", secret, "--verify-token", "let-me-in"]
    pages = ["--page", '42:"Corner Bakery"', "--page", "43:Second", "--webhook-url", webhook_url]
    child = spawn([*COMMAND, *options, *pages], env=CLEAN, cwd=ROOT, name="sandbox")
    base = address(child.wait_for("\n"))
    answer = httpx.post(
        f"{base}/api/pages/42/contacts/9/messages", json={"text": "Hi"}, trust_env=False
    )
    assert answer.status_code == 202
    assert receiver.wait_for(1)[0].signed
    assert child.terminate() == 0


def test_an_open_long_poll_does_not_hold_up_the_end(spawn: Spawn, webhook_url: str) -> None:
    environment = {"META_APP_SECRET": "s", "META_VERIFY_TOKEN": "t"}
    command = [*COMMAND, "--webhook-url", webhook_url]
    child = spawn(command, env=CLEAN | environment, cwd=ROOT, name="sandbox")
    base = address(child.wait_for("\n"))
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(httpx.get, f"{base}/api/deliveries?wait=30", timeout=20, trust_env=False)
        time.sleep(0.3)
        assert not poll.done()
        assert child.terminate(within_s=5) == 0
        assert poll.result().json()["deliveries"] == []


def test_a_port_in_use_is_said(spawn: Spawn, webhook_url: str) -> None:
    taken = webhook_url.split("/")[2].split(":")[1]
    environment = {"META_APP_SECRET": "s", "META_VERIFY_TOKEN": "t"}
    child = spawn([*COMMAND[:-1], taken], env=CLEAN | environment, cwd=ROOT, name="sandbox")
    assert child.wait() == 1
    assert "address already in use" in child.output()


def test_what_is_missing_is_said(spawn: Spawn) -> None:
    cases: tuple[tuple[dict[str, str], str], ...] = (
        ({}, "META_APP_SECRET"),
        ({"META_APP_SECRET": "s"}, "META_VERIFY_TOKEN"),
        (
            {"META_APP_SECRET": "s", "META_VERIFY_TOKEN": "t", "SANDBOX_PAGES": "[]"},
            "SANDBOX_PAGES",
        ),
    )
    for environment, name in cases:
        child = spawn(COMMAND, env=CLEAN | environment, cwd=ROOT, name="sandbox")
        assert child.wait() == 2
        assert name in child.output()
