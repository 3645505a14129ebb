"""A program that asks for tokens in processes of its own: `python askers.py ACTION …`.

`crowd DATABASE DATA_DIR PROVIDER GRANT COUNT`: COUNT processes ask for the grant's tokens at once;
each prints the access token that it got. `lost DATABASE DATA_DIR PROVIDER GRANT`: one process asks
the provider, says `answered`, and never commits.
"""

import os
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

import httpx

from contracts.login import Login, Refreshed, Tokens
from contracts.settings import Settings
from tests.workers.logins import FakeLogin, logins
from workers.composition import Parts

ENOUGH = timedelta(minutes=5)


class Loses(FakeLogin):
    """Gets the provider's answer, and stays there until it is killed."""

    def __init__(self, login: FakeLogin) -> None:
        super().__init__(login.url)
        self.name, self.rotates = login.name, login.rotates  # type: ignore[misc]

    def refresh(self, client: httpx.Client, tokens: Tokens) -> Refreshed:
        super().refresh(client, tokens)
        say("answered")
        time.sleep(600)
        raise AssertionError("nobody killed this process")


def say(line: str) -> None:
    """One write, so that lines of many processes stay whole."""
    os.write(1, f"{line}\n".encode())


def ask(settings: Settings, known: Mapping[str, Login], grant: str) -> None:
    parts = Parts(settings, MappingProxyType({}), known)
    tokens = parts.refresher.fresh(grant, job="send", at_least=ENOUGH)
    say(f"got {tokens.access_token.reveal()}")
    parts.openings.flush()


def crowd(settings: Settings, known: Mapping[str, Login], grant: str, count: int) -> None:
    """Fork, since fifty imports take longer than all that is shown here; nothing is open yet."""
    ready, go = os.pipe()
    children = []
    for _ in range(count):
        if (child := os.fork()) == 0:
            os.close(go)
            os.read(ready, 1)  # until all are there: the other end is closed then
            code = 1
            try:
                ask(settings, known, grant)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    os.close(go)
    assert all(os.waitpid(child, 0)[1] == 0 for child in children), "a process failed"
    say("done")


def main(action: str, database: str, folder: str, provider: str, grant: str, *rest: str) -> None:
    settings = Settings(data_dir=Path(folder), database_url=database, allow_networks="127.0.0.1")
    known = logins(provider)
    if action == "crowd":
        crowd(settings, known, grant, int(rest[0]))
    else:
        losing = {
            name: Loses(login) for name, login in known.items() if isinstance(login, FakeLogin)
        }
        ask(settings, losing, grant)


if __name__ == "__main__":
    main(*sys.argv[1:])
