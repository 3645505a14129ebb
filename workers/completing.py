"""Completes messages that were delivered without what they are about, and logs them."""

from collections.abc import Mapping

import msgspec
import structlog

from contracts.connector import Connector
from contracts.content import Content
from contracts.errors import (
    GatewayError,
    KeyDestroyed,
    NotFound,
    Paused,
    Permanent,
    Retryable,
    Unavailable,
)
from contracts.lookups import Completes
from contracts.messages import decode, encode
from storage import due
from storage.connections import Connection, Connections
from storage.database import now_ms
from storage.drain import DrainStore
from storage.due import DueRows, Taken
from storage.lookups import LOOKUP, Lookups, Waiting
from storage.message_id import seal_id
from storage.pausing import require_unpaused
from storage.turns import RECEIVING, Append, Turn
from token_vault import Purpose, Vault
from workers.calling import Accounts
from workers.metrics import Metrics
from workers.normalizing import account_details
from workers.retrying import pause_s, told, until_stored

log = structlog.get_logger()


class Completing:
    """The job of a `lookup` row. The provider is called while it is held, and no transaction is."""

    def __init__(
        self,
        lookups: Lookups,
        connections: Connections,
        rows: DueRows,
        store: DrainStore,
        accounts: Accounts,
        vault: Vault,
        connectors: Mapping[str, Connector],
        metrics: Metrics,
    ) -> None:
        self._lookups, self._connections = lookups, connections
        self._rows, self._store = rows, store
        self._accounts, self._vault = accounts, vault
        self._completes = {n: one for n, one in connectors.items() if isinstance(one, Completes)}
        self._metrics = metrics

    def run(self, row: Taken) -> None:
        """Once per message: complete, or as it came. Raises `Paused` while its connection is: it
        waits then; `LeaseLost` and `Unavailable`.
        """
        waiting = self._lookups.find(row.key)
        if waiting is None:  # erased meanwhile
            self._rows.remove(row)
            return
        try:
            result, append = "done", self._completed(waiting)
        except Paused:  # perhaps only since it was looked at
            raise
        except (KeyDestroyed, Unavailable) as error:
            if not isinstance(error, KeyDestroyed):
                raise
            result, append = error.reason, waiting.append  # its tenant is gone: refused below
        except GatewayError as error:
            if self._puts_off(row, waiting, error):
                return
            log.warning("lookup.given_up", message=row.key, reason=told(error))
            result, append = error.reason, waiting.append
        until_stored(self._rows.seconds / 4)(self._write, row, append)
        self._metrics.lookups.labels(waiting.append.type, result).inc()

    def _completed(self, waiting: Waiting) -> Append:
        """Raises the errors of `Completes.complete`, and what lending a client raises."""
        connection = self._connections.get(waiting.append.connection)
        require_unpaused(connection)
        connector = self._completes.get(connection.provider)
        if connector is None or connection.status not in RECEIVING:
            raise NotFound("nobody completes it any more")
        keys = self._vault.tenant(connection.tenant)
        sealed_for = seal_id(waiting.append.day, waiting.append.hash)
        message = decode(keys.open(Purpose.MESSAGE, sealed_for, waiting.append.sealed))
        said = self._asked(connector, connection, message.data)
        whole = encode(msgspec.structs.replace(message, data=said))
        return waiting.append._replace(sealed=keys.seal(Purpose.MESSAGE, sealed_for, whole))

    def _asked(self, connector: Completes, connection: Connection, said: Content) -> Content:
        if type(said) not in connector.completes:
            raise Permanent("it is none that can be completed any more")
        account = account_details(connection, self._vault.tenant(connection.tenant)).account
        client = self._accounts.client_for(connection, job=LOOKUP)
        return connector.complete(client, account, said)

    def _puts_off(self, row: Taken, waiting: Waiting, error: GatewayError) -> bool:
        """Whether there is time for another attempt; the last one is made when the time is over."""
        left_s = (waiting.until_ms - now_ms()) / 1000
        asked_s = error.after_s or 0.0 if isinstance(error, Retryable) else 0.0
        if not isinstance(error, Retryable) or left_s <= asked_s:
            return False
        self._rows.put_off(row, min(pause_s(error, row.attempts + 1), left_s), told(error))
        return True

    def _write(self, row: Taken, append: Append) -> None:
        self._store.write(
            Turn(first=lambda open_: due.end(open_, row), appends=[append], completed=[row.key])
        )
