"""What calls providers on behalf of grants: one transport, its gates, and tokens kept fresh."""

from typing import Final

from connectors.kit.transport.transport import Limits, Transport
from storage.connections import Connection
from storage.gates import GateStore, SharedGates
from storage.grants import Grants
from token_vault import GrantTokens, gate_names
from workers.calling import Accounts
from workers.foundation import Foundation
from workers.grant_states import GrantStates
from workers.metrics import CountedCalls
from workers.normalizing import account_details
from workers.refreshing import Refresher

CALL_SHARE: Final = 0.7
"""A call takes at most so much of a due row's lease, and the rest is for storing its outcome."""


def call_limits(lease_s: float) -> Limits:
    """Of the calls of jobs whose due rows are leased for so long."""
    return Limits(total_s=min(Limits().total_s, lease_s * CALL_SHARE))


class ProviderCalls:
    """A part of the composition root: it builds, and does nothing."""

    def __init__(self, base: Foundation) -> None:
        grants, vault, metrics = Grants(base.database), base.vault, base.metrics
        self.tokens = GrantTokens(vault, base.openings)
        self.states = GrantStates(grants, base.turning)
        self.gates = SharedGates(GateStore(base.database), gate_names(vault), metrics.gate_closed)
        self.transport = Transport(
            allow=base.settings.allowed_networks,
            sandbox_url=base.settings.sandbox_url,
            observer=CountedCalls(metrics),
            keeper=self.gates,
            limits=call_limits(base.rows.seconds),
        )
        self.refresher = Refresher(
            grants,
            base.rows,
            base.store,
            self.tokens,
            self.states,
            base.logins,
            self.transport.client(),
            metrics,
        )

        def account_of(connection: Connection) -> str:
            return account_details(connection, vault.tenant(connection.tenant)).account

        self.accounts = Accounts(
            self.transport, self.refresher, grants, base.logins, base.connectors, account_of
        )
