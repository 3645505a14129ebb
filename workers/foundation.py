"""What most parts of a worker stand on, built once by the composition root."""

from collections.abc import Mapping
from typing import NamedTuple

from contracts.connector import Connector
from contracts.login import Login
from contracts.settings import Settings
from storage.connections import Connections
from storage.database import Database
from storage.drain import DrainStore
from storage.due import DueRows
from token_vault import Openings, Vault
from workers.metrics import Metrics
from workers.normalizing import Normalizer
from workers.turning import Turning


class Foundation(NamedTuple):
    """Of one worker process. `logins` and `connectors` are those that are on; `channels` is by
    provider, of those too that are off.
    """

    settings: Settings
    database: Database
    vault: Vault
    rows: DueRows
    store: DrainStore
    known: Connections
    normalizer: Normalizer
    turning: Turning
    openings: Openings
    logins: Mapping[str, Login]
    connectors: Mapping[str, Connector]
    channels: Mapping[str, str]
    metrics: Metrics
