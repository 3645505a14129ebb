"""A typed client of the gateway for the CRM core; needs the contracts and httpx, nothing else."""

from contracts.errors import (
    Conflict,
    CursorError,
    CursorExpired,
    Forbidden,
    GatewayError,
    InvalidInput,
    KeyDestroyed,
    LogRestored,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from contracts.messages import Content, Message
from gateway.client.calls import Consumer, Page
from gateway.client.gateway import Gateway

__all__ = [
    "Conflict",
    "Consumer",
    "Content",
    "CursorError",
    "CursorExpired",
    "Forbidden",
    "Gateway",
    "GatewayError",
    "InvalidInput",
    "KeyDestroyed",
    "LogRestored",
    "Message",
    "NotFound",
    "Page",
    "Unauthenticated",
    "Unavailable",
]
