"""What the state of a grant means for its connections."""

from collections.abc import Callable

from contracts.causes import LOOKED_AFTER, REFUSED, TOKEN, Causes, kind_of, of_grant
from storage.connections import Connection, Grant
from storage.due import Taken
from storage.grants import Grants
from workers.turning import Change, Plan, Turning


class GrantStates:
    """Plans the turns of a grant's connections. Raises `Unavailable`."""

    def __init__(self, grants: Grants, turning: Turning) -> None:
        self._grants = grants
        self._turning = turning

    def refused(self, grant: Grant, row: Taken, reason: str) -> Plan:
        """Only the owner can mend it, unless another grant carries the connection as well: what it
        lacks then, a look will tell.
        """
        beside = self._grants.alive_beside(grant.id)
        name = of_grant(REFUSED, grant.id)
        plan = self._plan(
            grant,
            row,
            lambda c: _without(c.causes, grant) | ({} if c.id in beside else {name: reason}),
        )
        return plan._replace(look=beside)

    def expired(self, grant: Grant, row: Taken, reason: str) -> Plan:
        """The token has ended, and the provider gives no newer one now."""
        name = of_grant(TOKEN, grant.id)
        return self._plan(grant, row, lambda c: {name: reason} | dict(c.causes))

    def renewed(self, grant: Grant, row: Taken, *, allows_other: bool = False) -> Plan:
        """The tokens work, and one grant that does is enough. What else is wrong with connections
        that could not be asked about, or with all when it `allows_other` things, a look will tell.
        """
        plan = self._plan(grant, row, lambda c: _without(c.causes, grant, REFUSED))
        if allows_other:
            return plan._replace(look=frozenset(c.id for c in self._concerned(grant)))
        needed = (turned.was for turned in plan.turned if turned.was.status == "needs_reauth")
        return plan._replace(look=frozenset(was.id for was in needed))

    def _plan(self, grant: Grant, row: Taken, becomes: Callable[[Connection], Causes]) -> Plan:
        changes = [Change(c, becomes(c), c.missing) for c in self._concerned(grant)]
        return self._turning.plan(row, [x for x in changes if x.causes != x.connection.causes])

    def _concerned(self, grant: Grant) -> list[Connection]:
        """Those that were ended stay so."""
        return [c for c in self._grants.carried(grant.id) if c.status in LOOKED_AFTER]


def _without(causes: Causes, grant: Grant, kind: str = "") -> dict[str, str]:
    """`causes` but for those of `grant`, and those of a `kind` of any grant."""
    gone = (of_grant(REFUSED, grant.id), of_grant(TOKEN, grant.id))
    return {
        name: reason
        for name, reason in causes.items()
        if name not in gone and kind_of(name) != kind
    }
