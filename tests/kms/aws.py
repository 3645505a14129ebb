"""AWS KMS on loopback: moto's server, mended where it answers otherwise than AWS does."""

import io
import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

REGION: Final = "eu-central-1"
MADE_UP: Final = {
    "AWS_ACCESS_KEY_ID": "AKIAMADEUP",
    "AWS_SECRET_ACCESS_KEY": "made-up",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base's
        """Nothing."""


class KmsServer:
    """KMS in a thread of this process, to stop and start at will on the same port."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.refusing: str | None = None
        """An error code that every call is answered with."""
        self.contexts: list[dict[str, str] | None] = []
        """The encryption context of each call."""
        self._app: WSGIApplication = DomainDispatcherApplication(create_backend_app)
        self._port = port
        self._server: BaseWSGIServer | None = None
        self._thread = threading.Thread()

    def start(self) -> None:
        """Listen."""
        self._server = make_server(
            "127.0.0.1", self._port, self._answer, threaded=True, request_handler=_Quiet
        )
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, kwargs={"poll_interval": 0.02}, name="kms")
        self._thread.start()

    def stop(self) -> None:
        """Listen no more; the keys stay."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    def create_key(self) -> str:
        """A new symmetric key; its ARN."""
        with _client(self.url) as client:
            arn: str = client.create_key()["KeyMetadata"]["Arn"]
            return arn

    def _answer(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        action = str(environ.get("HTTP_X_AMZ_TARGET")).rpartition(".")[2]
        if action in ("Encrypt", "Decrypt"):
            self.contexts.append(json.loads(body).get("EncryptionContext") or None)
        if self.refusing is not None:
            return _refuse(self.refusing, start)
        answer: dict[str, Any] = {}

        def keep(status: str, headers: list[tuple[str, str]], _: object = None) -> Any:
            answer.update(status=status, headers=headers)

        found = b"".join(self._app(environ, keep))
        if action == "Decrypt" and b"AccessDeniedException" in found:
            # API_Decrypt: with a KeyId, a ciphertext of another key is IncorrectKeyException.
            return _refuse("IncorrectKeyException", start)
        start(answer["status"], answer["headers"])
        return [found]


def _refuse(code: str, start: "StartResponse") -> Iterable[bytes]:
    body = b'{"__type":"%b"}' % code.encode()
    headers = [
        ("Content-Type", "application/x-amz-json-1.1"),
        ("Content-Length", str(len(body))),
        ("x-amzn-errortype", code),
    ]
    start("400 Bad Request", headers)
    return [body]


@contextmanager
def _client(url: str) -> Iterator[Any]:
    client = boto3.client(
        "kms",
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id="made-up",
        aws_secret_access_key="made-up",
    )
    try:
        yield client
    finally:
        client.close()
