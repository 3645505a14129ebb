"""A key in AWS KMS, through Tink's integration of boto3."""

from typing import Final

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)
from tink.integration import awskms

from contracts.errors import GatewayError, KeyUnavailable, Misconfigured, UnknownKey
from token_vault.kek.kms import ANSWER_S, CONNECT_S, Answering, Answers, does_not_answer
from token_vault.keysets import Aead

SCHEME: Final = "aws-kms://"
_DENIED: Final = "access denied: the key's policy must allow the role kms:Encrypt and kms:Decrypt"
_STRANGER: Final = "AWS does not accept the gateway's credentials: renew them"
_NO_URL: Final = "AWS_ENDPOINT_URL_KMS (or AWS_ENDPOINT_URL) is no URL such as https://HOST"
_OTHER_KEY: Final = "another key wrapped this, or it was changed"
_NO_CREDENTIALS: Final = (
    "no AWS credentials: give the process a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)
ANSWERS: Final[Answers] = {
    "AccessDeniedException": (KeyUnavailable, _DENIED),
    "DisabledException": (KeyUnavailable, "the key is disabled: enable it"),
    "KMSInvalidStateException": (
        KeyUnavailable,
        "the key cannot be used as it is: cancel its deletion, or import its material again",
    ),
    "ExpiredTokenException": (KeyUnavailable, _STRANGER),
    "InvalidClientTokenId": (KeyUnavailable, _STRANGER),
    "InvalidSignatureException": (KeyUnavailable, _STRANGER),
    "UnrecognizedClientException": (KeyUnavailable, _STRANGER),
    "NotFoundException": (Misconfigured, "AWS has no such key"),
    "InvalidKeyUsageException": (Misconfigured, "not a symmetric key for encryption"),
    "IncorrectKeyException": (UnknownKey, _OTHER_KEY),
    "InvalidCiphertextException": (UnknownKey, _OTHER_KEY),
}
"""Error codes of Encrypt and Decrypt (AWS KMS API Reference), and of AWS as a whole."""
_BOUNDED: Final = Config(
    connect_timeout=CONNECT_S,
    read_timeout=ANSWER_S,
    retries={"mode": "standard", "total_max_attempts": 2},
)


def open_key(arn: str) -> Aead:
    """The key of this ARN, with the credentials that boto3 finds (environment, shared files, role).

    `AWS_ENDPOINT_URL_KMS` is heeded, as by every AWS SDK. Raises `Misconfigured` when that is no
    URL, and without credentials: a client made without any would never look for them again.
    """
    try:
        session = boto3.session.Session(region_name=arn.split(":")[3])
        if session.get_credentials() is None:
            raise Misconfigured(_NO_CREDENTIALS)
        client = session.client("kms", config=_BOUNDED)
    except BotoCoreError as error:
        raise explain(error) from None
    except ValueError:  # botocore.endpoint: "Invalid endpoint", which it quotes
        raise Misconfigured(_NO_URL) from None
    uri = SCHEME + arn
    key = awskms.new_client(boto3_client=client, key_uri=uri).get_aead(uri)
    return Answering(key, (BotoCoreError,), explain)


def explain(error: BaseException) -> GatewayError:
    """Our error for what boto3 raised."""
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))[:80]
        kind, text = ANSWERS.get(code, (KeyUnavailable, "the KMS does not answer"))
        return kind(f"{text} ({code})")
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return Misconfigured(_NO_CREDENTIALS)
    if isinstance(error, ProfileNotFound):
        return Misconfigured("AWS_PROFILE names a profile that is not there")
    return does_not_answer(error)
