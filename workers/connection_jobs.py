"""Jobs about connections: whether all is well with them, how they end, what is asked for them."""

from storage.activity import ActivityStore
from storage.escrow import EscrowStore
from storage.grants import Grants
from storage.inspections import Inspections
from storage.lookups import Lookups
from storage.profiles import Profiles
from storage.revocations import Revocations
from storage.signals import Signals
from workers.completing import Completing
from workers.ending import Ending
from workers.foundation import Foundation
from workers.inspecting import Inspector
from workers.policy import Policy
from workers.profiling import Profiling
from workers.provider_calls import ProviderCalls
from workers.reconciling import Reconciler
from workers.revoking import Revoker
from workers.signals import Heeding


class ConnectionJobs:
    """A part of the composition root: it builds, and does nothing."""

    def __init__(self, base: Foundation, calls: ProviderCalls, activity: ActivityStore) -> None:
        self._look_after(base, calls, activity)
        self._end(base, calls)
        self._look_up(base, calls)

    def _look_after(self, base: Foundation, calls: ProviderCalls, activity: ActivityStore) -> None:
        """What compares connections with what their providers say."""
        grants, inspections = Grants(base.database), Inspections(base.database)
        inspector = Inspector(
            grants,
            inspections,
            calls.accounts,
            calls.refresher,
            base.vault,
            base.logins,
            base.connectors,
        )
        self.policy = Policy(base.settings.policy_version or "", grants, inspections)
        self.reconciler = Reconciler(
            base.known,
            activity,
            base.rows,
            base.store,
            inspector,
            base.turning,
            self.policy,
        )

    def _end(self, base: Foundation, calls: ProviderCalls) -> None:
        """What carries out revocations, and what providers tell of consents."""
        grants, revocations = Grants(base.database), Revocations(base.database)
        ending = Ending(
            grants,
            base.vault,
            calls.tokens,
            EscrowStore(base.database),
            calls.refresher,
            calls.transport,
            base.logins,
            base.connectors,
        )
        self.revoker = Revoker(
            revocations,
            base.known,
            base.store,
            base.normalizer,
            base.vault,
            ending,
            base.rows,
            base.channels,
        )
        self.heeding = Heeding(
            Signals(base.database),
            grants,
            revocations,
            base.store,
            calls.states,
            base.vault,
            base.normalizer,
            base.channels,
        )

    def _look_up(self, base: Foundation, calls: ProviderCalls) -> None:
        """What asks providers about what was delivered."""
        self.profiling = Profiling(
            Profiles(base.database),
            base.known,
            base.rows,
            base.store,
            calls.accounts,
            base.vault,
            base.normalizer,
            base.connectors,
        )
        self.completing = Completing(
            Lookups(base.database),
            base.known,
            base.rows,
            base.store,
            calls.accounts,
            base.vault,
            base.connectors,
            base.metrics,
        )
