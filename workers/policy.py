"""Whether the privacy policy that an account's owner accepted is still today's."""

from contracts.content import AccountNotice
from storage.connections import Connection
from storage.grants import Grants
from storage.inspections import Inspections


class Policy:
    """Today's policy, against those that were accepted."""

    def __init__(self, version: str, grants: Grants, inspections: Inspections) -> None:
        """`version`: today's; empty, nobody is asked to accept one."""
        self.version = version
        self._grants, self._inspections = grants, inspections

    def notice(self, connection: Connection) -> AccountNotice | None:
        """What the feed is to say of it, once for each version; nothing where nobody consented
        through us, and where today's was accepted.
        """
        if not self.version or connection.noticed == self.version:
            return None
        grants = self._grants.of_connection(connection.id)
        accepted = self._inspections.accepted([grant.id for grant in grants])
        if accepted is None or accepted == self.version:
            return None
        before = f"version {accepted}" if accepted else "none"
        return AccountNotice(
            notice="policy_changed",
            severity="info",
            detail=f"The privacy policy is of version {self.version} now; accepted was {before}.",
        )
