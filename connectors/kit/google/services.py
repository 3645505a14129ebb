"""Calendar and Gmail through Google's own client. Heavy: import it where it is used."""

import json
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import httpx
from googleapiclient.discovery import build_from_document
from googleapiclient.discovery_cache import get_static_doc
from googleapiclient.errors import HttpError

from connectors.kit.google.errors import refusal
from connectors.kit.transport.for_httplib2 import ClientHttp
from connectors.kit.transport.hosts import name_of
from connectors.kit.transport.refusals import IDEMPOTENT, Answer


def calendar(client: httpx.Client) -> Any:
    """Calendar v3 for the account whose token `client` carries."""
    return _service("calendar", "v3", client)


def gmail(client: httpx.Client) -> Any:
    """Gmail v1 for the account whose token `client` carries."""
    return _service("gmail", "v1", client)


def execute(request: Any, account: str) -> Any:
    """What Google answers to a request of one of the services, read.

    Once: the client's own repeating sleeps in this thread, does not heed Retry-After, and repeats
    what must not be sent twice. Raises the errors of `contracts.errors`. `account`: the one whose
    limits the call uses.
    """
    method = request.method
    try:
        return request.execute(num_retries=0)
    except HttpError as error:
        answer = Answer(
            host=name_of(urlsplit(request.uri).hostname or ""),
            status=error.status_code,
            headers=error.resp,
            body=error.content,
            repeatable=method in IDEMPOTENT,
        )
    raise refusal(answer, account)


def _service(name: str, version: str, client: httpx.Client) -> Any:
    return build_from_document(_document(name, version), http=ClientHttp(client))


@lru_cache
def _document(name: str, version: str) -> str:
    """The description that came with the client: building a service calls nobody.

    Without the address for client certificates, which variables of the environment could choose.
    """
    document = json.loads(get_static_doc(name, version))
    document.pop("mtlsRootUrl", None)
    return json.dumps(document)
