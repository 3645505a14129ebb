"""A worker in a process of its own, whose provider takes a message and never answers.

`python sending_worker.py DATABASE DATA_DIR` says `taken TEXT` of each message that it is at.
"""

import sys
import time
from pathlib import Path

import httpx

from contracts.sending import Outgoing, Sent
from tests.rig import Rig
from tests.workers.granted import run_due
from tests.workers.letterbox import Letterbox
from tests.workers.pages import Pages, PagesLogin


class Silent(Letterbox):
    """Does not come back."""

    def send(self, client: httpx.Client, outgoing: Outgoing) -> Sent:
        sys.stdout.write(f"taken {outgoing.text}\n")
        sys.stdout.flush()
        time.sleep(600)
        raise AssertionError("somebody should have killed this by now")


def main(database_url: str, folder: str) -> None:
    rig = Rig(
        database_url,
        Path(folder),
        {"meta": PagesLogin(Pages())},
        connectors={"facebook": Silent()},
    )
    run_due(rig)


if __name__ == "__main__":
    main(*sys.argv[1:])
