"""HashiCorp Vault: what is sent, what its refusals mean, tokens that are renewed."""

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.errors import GatewayError, KeyUnavailable, Misconfigured, UnknownKey
from tests.kms.transit import MOUNT, TOKEN, Refused, Request, Transit, VaultServer, certificate
from tests.processes import free_port
from token_vault.kek.hcvault import open_key
from token_vault.kek.kms import ANSWER_S, CONNECT_S
from token_vault.keysets import Aead


class Stage:
    """A Vault, and keys of it as a process with this environment opens them."""

    def __init__(self, folder: Path) -> None:
        self.environ = {"VAULT_TOKEN": TOKEN, "VAULT_CACERT": str(certificate(folder))}
        self.address = f"127.0.0.1:{free_port()}"
        self.server = VaultServer(folder, int(self.address.rpartition(":")[2]))
        self.vault = self.server.transit
        self.vault.create("kek")
        self.server.start()

    def key(self, path: str = f"{MOUNT}/keys/kek") -> Aead:
        return open_key(f"{self.address}/{path}", self.environ)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """One running."""
    found = Stage(tmp_path)
    yield found
    found.server.stop()


def test_what_is_sent_is_what_the_api_wants(stage: Stage) -> None:
    stage.environ["VAULT_NAMESPACE"] = "crm"
    sealed = stage.key().encrypt(b"key", b"")
    assert re.fullmatch(rb"vault:v1:[A-Za-z0-9+/]+=*", sealed)
    assert stage.key().decrypt(sealed, b"") == b"key"
    encrypted, decrypted = stage.vault.requests
    assert (encrypted.method, encrypted.path) == ("POST", f"/v1/{MOUNT}/encrypt/kek")
    assert decrypted.path == f"/v1/{MOUNT}/decrypt/kek"
    assert json.loads(encrypted.body)["plaintext"] == "a2V5"
    assert json.loads(decrypted.body)["ciphertext"] == sealed.decode()
    for request in (encrypted, decrypted):
        assert request.headers["X-Vault-Token"] == TOKEN
        assert request.headers["X-Vault-Namespace"] == "crm"
        assert TOKEN not in request.path


def test_after_a_rotation_in_vault_old_and_new_open(stage: Stage) -> None:
    old = stage.key().encrypt(b"old", b"")
    stage.vault.create("kek")
    new = stage.key().encrypt(b"new", b"")
    assert new.startswith(b"vault:v2:")
    assert [stage.key().decrypt(sealed, b"") for sealed in (old, new)] == [b"old", b"new"]


def test_versions_that_are_shut_off_or_not_there_yet_are_waited_for(stage: Stage) -> None:
    """As lost, readers would be led past what they sealed."""
    old = stage.key().encrypt(b"old", b"")
    stage.vault.create("kek")
    new = stage.key().encrypt(b"new", b"")
    stage.vault.oldest = 2
    with pytest.raises(KeyUnavailable, match="min_decryption_version"):
        stage.key().decrypt(old, b"")
    stage.vault.forget_newest("kek")
    with pytest.raises(KeyUnavailable, match="newest version"):
        stage.key().decrypt(new, b"")


def test_sealed_it_is_unavailable(stage: Stage) -> None:
    stage.vault.sealed = True
    with pytest.raises(KeyUnavailable, match="sealed"):
        stage.key().encrypt(b"key", b"")


def test_a_token_that_may_not_is_told_apart(stage: Stage) -> None:
    stage.environ["VAULT_TOKEN"] = "hvs.expired"
    with pytest.raises(KeyUnavailable, match="permission denied") as caught:
        stage.key().encrypt(b"key", b"")
    assert "hvs.expired" not in str(caught.value)


@pytest.mark.parametrize("path", ["other/keys/kek", "a/b/c/keys/kek"])
def test_a_mount_that_is_not_there(stage: Stage, path: str) -> None:
    with pytest.raises(Misconfigured, match="no Transit engine"):
        stage.key(path).encrypt(b"key", b"")


def test_a_key_that_is_not_there(stage: Stage) -> None:
    key = stage.key(f"{MOUNT}/keys/absent")
    with pytest.raises(KeyUnavailable, match="permission denied"):
        key.encrypt(b"key", b"")
    with pytest.raises(Misconfigured, match="no such key"):
        key.decrypt(b"vault:v1:xxxx", b"")


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (500, "1 error occurred:\n\t* cipher: message authentication failed\n\n", UnknownKey),
        (400, "invalid ciphertext: could not decode version", UnknownKey),
        (400, "missing 'context' for key derivation; the key was", Misconfigured),
        (400, "something new", KeyUnavailable),
        (401, "unauthorized", KeyUnavailable),
        (429, "request path is rate limited", KeyUnavailable),
        (500, "internal error", KeyUnavailable),
        (501, "Vault is not initialized", KeyUnavailable),
        (307, "", KeyUnavailable),
    ],
)
def test_other_answers(stage: Stage, status: int, said: str, kind: type[GatewayError]) -> None:
    class Answers(Transit):
        def answer(self, request: Request) -> dict[str, str]:
            raise Refused(status, said)

    sealed = stage.key().encrypt(b"key", b"")
    stage.server.stop()
    stage.server.transit = Answers(stage.server.folder)
    stage.server.start()
    with pytest.raises(kind) as caught:
        stage.key().decrypt(sealed, b"")
    assert type(caught.value) is kind
    assert "something new" not in str(caught.value)


def test_a_token_that_vault_agent_renews_is_taken_without_a_restart(
    stage: Stage, tmp_path: Path
) -> None:
    sink = tmp_path / "token"
    stage.environ = {**stage.environ, "VAULT_TOKEN": "", "VAULT_TOKEN_FILE": str(sink)}
    with pytest.raises(KeyUnavailable, match="VAULT_TOKEN_FILE"):
        stage.key()
    sink.write_text(f"{TOKEN}\n")
    key = stage.key()
    key.encrypt(b"key", b"")
    stage.vault.tokens = {"hvs.renewed"}
    with pytest.raises(KeyUnavailable):
        key.encrypt(b"key", b"")
    sink.write_text("hvs.renewed")
    key.encrypt(b"key", b"")


def test_without_a_token_it_says_so(stage: Stage) -> None:
    stage.environ = {}
    with pytest.raises(Misconfigured, match="VAULT_TOKEN"):
        stage.key()


@pytest.mark.parametrize("token", ["hvs.two\nlines", "hvs.a token", "hvs.töken", "\x00", " "])
def test_a_token_that_can_be_none_is_told_by_its_setting(
    stage: Stage, tmp_path: Path, token: str
) -> None:
    for name, value in (("VAULT_TOKEN", token), ("VAULT_TOKEN_FILE", str(tmp_path / "token"))):
        (tmp_path / "token").write_text(token)
        stage.environ = {**stage.environ, "VAULT_TOKEN": TOKEN, name: value}
        with pytest.raises(Misconfigured, match=f"{name}\\b") as caught:
            stage.key()
        assert "hvs" not in str(caught.value)
        del stage.environ[name]
    assert stage.vault.requests == []


@pytest.mark.parametrize("name", ["VAULT_CACERT", "VAULT_CAPATH"])
def test_authorities_that_are_not_there_are_told_by_their_setting(stage: Stage, name: str) -> None:
    del stage.environ["VAULT_CACERT"]
    stage.environ[name] = "/nonexistent/ca"
    with pytest.raises(Misconfigured, match=f"^{name}: "):
        stage.key()


def test_a_file_that_holds_no_authority_is_told_by_its_setting(
    stage: Stage, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    stage.environ["VAULT_CACERT"] = str(broken)
    with pytest.raises(Misconfigured, match=r"^VAULT_CACERT: "):
        stage.key()


def test_authorities_that_go_away_are_told_by_their_setting(stage: Stage) -> None:
    key = stage.key()
    Path(stage.environ["VAULT_CACERT"]).unlink()
    with pytest.raises(Misconfigured, match=r"^VAULT_CACERT: "):
        key.encrypt(b"key", b"")


def test_a_vault_that_nobody_vouches_for_gets_no_token(stage: Stage) -> None:
    del stage.environ["VAULT_CACERT"]
    with pytest.raises(KeyUnavailable, match="SSLError"):
        stage.key().encrypt(b"key", b"")
    assert stage.vault.requests == []


def test_a_vault_that_takes_and_never_answers_costs_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}/{MOUNT}/keys/kek"
        began = time.monotonic()
        with pytest.raises(KeyUnavailable, match="does not answer"):
            open_key(address, {"VAULT_TOKEN": TOKEN}).encrypt(b"key", b"")
        assert time.monotonic() - began < CONNECT_S + ANSWER_S + 2


def test_the_token_is_in_no_error(stage: Stage) -> None:
    key = stage.key()
    key.encrypt(b"key", b"")
    stage.server.stop()
    with pytest.raises(KeyUnavailable, match="ConnectionError") as caught:
        key.encrypt(b"key", b"")
    assert TOKEN not in str(caught.value)
