"""Where calls go: public addresses, the names that TLS proves, or the sandbox."""

import ssl
import subprocess
from pathlib import Path

import pytest

from connectors.kit.transport.transport import Transport
from contracts.errors import (
    AddressRefused,
    Permanent,
    Retryable,
)
from tests.connectors.kit.loopback import Heard, raw, serving, transport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://localhost/",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
def test_every_call_passes_the_guard(url: str) -> None:
    for method in ("GET", "POST"):
        with pytest.raises(AddressRefused):
            Transport().client().request(method, url)


def test_schemes_other_than_http_are_refused() -> None:
    with pytest.raises(Permanent):
        Transport().client().get("file:///etc/passwd")


def test_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would resolve the name itself, behind the guard's back."""
    with serving(raw(OK)) as proxy, serving(raw(OK)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        transport().client().get(server.url)
        assert (len(proxy.heads), len(server.heads)) == (0, 1)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for `name.example` that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=name.example", "-addext", "subjectAltName=DNS:name.example"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subprocess.run([*made, *subject, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def test_tls_is_checked_against_the_name(
    certificate: tuple[Path, Path],
) -> None:
    cert, key = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    asked: list[str | None] = []
    context.sni_callback = lambda _, name, __: asked.append(name)
    with serving(raw(OK), context) as server:
        with pytest.raises(Retryable, match="no connection"):  # nobody we trust signed it
            transport().client().get(f"https://name.example:{server.port}/")
        trusting = transport(tls=ssl.create_default_context(cafile=cert)).client()
        assert trusting.get(f"https://name.example:{server.port}/").status_code == 200
        with pytest.raises(Retryable, match="no connection"):  # another name, the same address
            trusting.get(f"https://other.example:{server.port}/")
    assert asked == ["name.example", "name.example", "other.example"]
    assert f"Host: name.example:{server.port}".encode() in server.heads[0]


def test_the_sandbox_plays_every_provider_under_its_name() -> None:
    with serving(raw(OK)) as sandbox:
        heard = Heard()
        playing = Transport(sandbox_url=sandbox.url, observer=heard)
        for host in ("graph.facebook.com", "graph.instagram.com", "oauth2.googleapis.com"):
            playing.client().get(f"https://{host}/v24.0/me?fields=id")
        with pytest.raises(AddressRefused):  # its port, and nothing else of this machine
            playing.client().get("http://127.0.0.1:9/")
    assert [call.host for call in heard.calls[:2]] == ["graph.facebook.com", "graph.instagram.com"]
    first = sandbox.heads[0]
    assert first.startswith(b"GET /v24.0/me?fields=id HTTP/1.1\r\n")
    assert b"Host: graph.facebook.com\r\n" in first
