"""The key-encryption key: a file of mode 0600, made once, or a clear refusal."""

import stat
import sys
from pathlib import Path

import pytest

from contracts.errors import Misconfigured, Tampered, UnknownKey
from contracts.settings import Settings
from tests.conftest import Spawn
from token_vault import load_kek, open_vault
from token_vault.kek import check_uri


def test_made_on_first_use_and_the_same_ever_after(tmp_path: Path) -> None:
    path = tmp_path / "new" / "keyring.json"
    sealed = load_kek(f"local:{path}").encrypt(b"key", b"place")
    assert load_kek(f"local:{path}").decrypt(sealed, b"place") == b"key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["keyring.json"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_refuses_a_file_that_others_may_use(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keyring.json"
    load_kek(f"local:{path}")
    path.chmod(mode)
    with pytest.raises(Misconfigured, match=f"mode {mode:04o}"):
        load_kek(f"local:{path}")


def test_accepts_a_stricter_mode(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    load_kek(f"local:{path}")
    path.chmod(0o400)
    load_kek(f"local:{path}")


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"primaryKeyId": 1, "key": "hunter2"}', b"\xff\xfehunter2"]
)
def test_refuses_what_is_not_a_keyring_without_quoting_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keyring.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(Misconfigured) as caught:
        load_kek(f"local:{path}")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert path.read_bytes() == content


def test_says_where_no_keyring_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(Misconfigured, match=r"keyring\.json"):
        load_kek(f"local:{tmp_path / 'file' / 'keyring.json'}")


ARN = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
RING = "projects/p-1/locations/global/keyRings/r"


@pytest.mark.parametrize(
    "uri",
    [
        f"aws-kms://{ARN}",
        f"aws-kms://{ARN.rpartition('/')[0]}/mrk-1234abcd12ab34cd56ef1234567890ab",
        f"gcp-kms://{RING}/cryptoKeys/k",
        "hcvault://vault.example.com/transit/keys/kek",
        "hcvault://vault.example.com:8200/teams/crm/transit/keys/kek",
        "hcvault://[::1]:8200/transit/keys/kek",
    ],
)
def test_takes_the_uris_of_every_kms_and_asks_nobody_yet(uri: str) -> None:
    check_uri(uri)
    load_kek(uri)


@pytest.mark.parametrize(
    "uri",
    [
        *("local:", "", "x", "file:x", "LOCAL:x", "aws-kms://", "aws-kms://arn", f"aws-kms:{ARN}"),
        f"aws-kms://{ARN.rpartition(':')[0]}:alias/kek",
        f"aws-kms://{ARN} ",
        f"aws-kms://{ARN}\n",
        "aws-kms://arn:aws-cn:kms:cn-north-1:123456789012:key/1234abcd",
        f"gcp-kms://{RING}",
        f"gcp-kms://{RING}/cryptoKeys/k/cryptoKeyVersions/1",
        *(
            "hcvault://vault",
            "hcvault://vault/kek",
            "hcvault://vault/keys/kek",
            "hcvault:///t/keys/k",
        ),
        "hcvault://user:hunter2@vault/transit/keys/kek",
        "hcvault://vault/transit/keys/kek?x=hunter2",
        "hcvault://vault/transit/keys/../../sys/seal",
        "hcvault://vault/transit/../keys/kek",
        "http://vault/transit/keys/kek",
    ],
)
def test_names_the_forms_that_it_knows(uri: str) -> None:
    for refuses in (check_uri, load_kek):
        with pytest.raises(
            Misconfigured, match=r"GATEWAY_KEK_URI.*local:.*aws.*gcp.*hcv"
        ) as caught:
            refuses(uri)
        assert "hunter2" not in str(caught.value)


def test_the_setting_that_is_wrong_is_the_one_that_is_named(tmp_path: Path) -> None:
    wrong = Settings(data_dir=tmp_path, kek_uri_previous="hcvault://vault")
    with pytest.raises(Misconfigured, match=r"^GATEWAY_KEK_URI_PREVIOUS: names no key"):
        open_vault(wrong)
    with pytest.raises(Misconfigured, match=r"^GATEWAY_KEK_URI: names no key"):
        open_vault(Settings(data_dir=tmp_path, kek_uri="hcvault://vault"))


LOADED = """
import sys
from contracts.settings import Settings
from gateway.app import create_app
from workers.composition import Parts
import workers.__main__
settings = Settings(kek_uri=sys.argv[1])
create_app(settings, {})
Parts(settings, {}).vault.upgrade()
print(sorted({"boto3", "botocore", "hvac", "grpc", "google.cloud.kms_v1"} & sys.modules.keys()))
"""


@pytest.mark.parametrize("uri", ["local:k.json", "hcvault://vault/transit/keys/kek"])
def test_no_library_of_a_kms_is_loaded_before_its_key_is_used(
    uri: str, tmp_path: Path, spawn: Spawn
) -> None:
    here = {"PYTHONPATH": str(Path(__file__).parents[2])}
    child = spawn([sys.executable, "-c", LOADED, uri], env=here, cwd=tmp_path)
    assert child.wait() == 0, child.output()
    assert child.output().strip() == "[]"


def test_another_key_is_unknown_and_a_change_is_tampering(tmp_path: Path) -> None:
    kek, other = load_kek(f"local:{tmp_path / 'a.json'}"), load_kek(f"local:{tmp_path / 'b.json'}")
    sealed = kek.encrypt(b"key", b"place")
    with pytest.raises(UnknownKey):
        other.decrypt(sealed, b"place")
    with pytest.raises(Tampered):
        kek.decrypt(sealed, b"other place")
    with pytest.raises(Tampered):
        kek.decrypt(sealed[:-1] + bytes([sealed[-1] ^ 1]), b"place")


PROCESS = """
import sys, time
from pathlib import Path
from token_vault import load_kek
print("ready", flush=True)
while not Path(sys.argv[2]).exists():
    pass
print("sealed", load_kek("local:" + sys.argv[1]).encrypt(b"key", b"place").hex(), flush=True)
"""


def test_processes_that_start_at_once_agree_on_one(tmp_path: Path, spawn: Spawn) -> None:
    path, go = tmp_path / "keyring.json", tmp_path / "go"
    here = {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", PROCESS, path, go]
    children = [spawn(command, env=here) for _ in range(6)]
    for child in children:
        child.wait_for("ready")
    go.touch()
    kek_outputs = [child.wait_for("sealed").split()[-1] for child in children if not child.wait()]
    kek = load_kek(f"local:{path}")
    assert [kek.decrypt(bytes.fromhex(line), b"place") for line in kek_outputs] == [b"key"] * 6
