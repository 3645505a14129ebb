"""What the state of a grant means for its connections."""

from collections.abc import Callable, Collection

from storage.connections import Connection, Grant
from storage.due import Taken
from storage.grants import Grants
from workers.standing import LOOKED_AFTER, REFUSED, TOKEN, Causes, of_grant
from workers.turning import Change, Plan, Turning


class GrantStates:
    """Plans the turns of a grant's connections. Raises `Unavailable`."""

    def __init__(self, grants: Grants, turning: Turning) -> None:
        self._grants = grants
        self._turning = turning

    def refused(self, grant: Grant, row: Taken, reason: str) -> Plan:
        """Only the owner can mend it."""
        return self._plan(
            grant, row, lambda causes: _without(grant, causes) | _refused(grant, reason)
        )

    def expired(self, grant: Grant, row: Taken, reason: str) -> Plan:
        """The token has ended, and the provider gives no newer one now."""
        name = of_grant(TOKEN, grant.id)
        return self._plan(grant, row, lambda causes: {name: reason} | dict(causes))

    def renewed(self, grant: Grant, row: Taken) -> Plan:
        """The tokens work: what was wrong with this grant is over."""
        return self._plan(grant, row, lambda causes: _without(grant, causes))

    def looked_after(self, grant: Grant) -> Collection[str]:
        """Connections to be looked at when the grant allows something else than before."""
        return [c.id for c in self._grants.carried(grant.id) if c.status in LOOKED_AFTER]

    def _plan(self, grant: Grant, row: Taken, becomes: Callable[[Causes], Causes]) -> Plan:
        """Connections that were paused or ended stay so."""
        concerned = [c for c in self._grants.carried(grant.id) if c.status in LOOKED_AFTER]
        changes = [_changed(connection, becomes(connection.causes)) for connection in concerned]
        return self._turning.plan(row, [x for x in changes if x.causes != x.connection.causes])


def _changed(connection: Connection, causes: Causes) -> Change:
    return Change(connection, causes, connection.missing)


def _refused(grant: Grant, reason: str) -> dict[str, str]:
    return {of_grant(REFUSED, grant.id): reason}


def _without(grant: Grant, causes: Causes) -> dict[str, str]:
    gone = (of_grant(REFUSED, grant.id), of_grant(TOKEN, grant.id))
    return {name: reason for name, reason in causes.items() if name not in gone}
