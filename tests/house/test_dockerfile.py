"""The Dockerfile and the compose file fit the project; the script that tries them reads them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gateway.cli.demo import SECRETS
from scripts.dockerfile import ignored, read_dockerfile, read_ignore

ROOT = Path(__file__).parents[2]
COMMANDS = {"serve", "worker", "schedule", "db"}


def test_stages_and_continued_lines() -> None:
    stages = read_dockerfile("# a\nFROM x AS one\nRUN a \\\n  # b\n  && c\n\nFROM y\nUSER z\n")
    assert [(stage.base, stage.name) for stage in stages] == [("x", "one"), ("y", "1")]
    assert [(word, argument.split()) for word, argument in stages[0].steps] == [
        ("RUN", ["a", "&&", "c"])
    ]
    assert stages[1].steps == [("USER", "z")]


def test_instruction_before_from_is_refused() -> None:
    with pytest.raises(ValueError, match="before FROM: RUN a"):
        read_dockerfile("RUN a\n")


@pytest.mark.parametrize(
    ("path", "left_out"),
    [
        ("contracts/messages.py", False),
        ("contracts/__pycache__/messages.pyc", True),
        (".env", True),
        ("var/keyring.json", True),
        ("secrets/meta_app_secret", True),
        (".git/config", True),
        ("requirements.txt", False),
        ("requirements-dev.txt", True),
    ],
)
def test_build_context_has_no_secrets(path: str, left_out: bool) -> None:
    assert ignored(path, read_ignore((ROOT / ".dockerignore").read_text())) == left_out


def test_image_runs_without_root_and_says_its_health() -> None:
    settings = dict(read_dockerfile((ROOT / "Dockerfile").read_text())[-1].steps)
    assert settings["USER"] not in {"root", "0"}
    assert json.loads(settings["ENTRYPOINT"]) == ["gateway"]
    assert "/healthz" in settings["HEALTHCHECK"]


def test_compose_names_only_settings_that_exist() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    known = set(re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    ours = [s for s in compose["services"].values() if s["image"] == "cleverbox-gateway"]
    named = {name.removesuffix("_FILE") for service in ours for name in service["environment"]}
    assert named <= known
    assert named >= {"GATEWAY_DATABASE_URL", "GATEWAY_KEYSTORE_URL", "GATEWAY_BROKER_URL"}


def test_compose_starts_every_process_of_production() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    started = {service["command"][0] for service in services.values() if "command" in service}
    assert started >= COMMANDS
    assert services["sandbox"]["profiles"] == ["sandbox"]


def test_composes_sandbox_signs_with_the_secrets_that_the_gateway_knows() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    edge, sandbox = (services[name]["environment"] for name in ("edge", "sandbox"))
    assert sandbox.items() <= edge.items()
    for secret in SECRETS:
        assert secret in sandbox or f"{secret}_FILE" in sandbox


@pytest.mark.debootstrap
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_steps_run_in_a_bare_debian_tree_and_the_image_serves() -> None:
    script = [sys.executable, "-m", "scripts.dockerfile_in_chroot"]
    ran = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-4000:]
    assert "healthy as user 10001" in ran.stdout
