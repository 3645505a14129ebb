"""A CRM core in thirty lines: reads every message once, in order, and resumes after a crash.

GATEWAY_URL=http://localhost:8080 GATEWAY_KEY=cbg_… python docs/examples/crm_core.py
"""

import os
import sys

from contracts.content import MessageReceived, MessageSent
from gateway.client import Content, Gateway, LogRestored, Message


def store(message: Message[Content]) -> None:
    """Where a real CRM would write to its own database, under the unique key `message.id`."""
    match message.data:
        case MessageReceived(text=text, sender=sender):
            print(f"{message.time} {message.tenant}: {sender.id} writes: {text}", flush=True)
        case MessageSent(text=text):
            print(f"{message.time} {message.tenant}: we wrote: {text}", flush=True)
        case _:
            print(f"{message.time} {message.tenant}: {message.type}", flush=True)


def main() -> None:
    """Consume for ever; what `store` has finished is never asked for again."""
    with Gateway(os.environ["GATEWAY_URL"], os.environ["GATEWAY_KEY"]) as gateway:
        while True:
            try:
                for message in gateway.consume("crm-core"):
                    store(message)
            except LogRestored as error:
                gateway.resume("crm-core", error)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
