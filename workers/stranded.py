"""Routes what came in before its connection was there."""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from contracts.errors import LeaseLost
from storage.database import Database
from storage.leases import LANE, Lease, Leases
from storage.stranded import routable
from storage.turns import StoredItem, Turn
from workers.drain import Drainer, Tally

BATCH_ROWS: Final = 500


class StrandedRouter:
    """Gives unrouted items to connections that may have them: made by an operator afterwards, or
    committed while the drain that found none was under way.
    """

    def __init__(self, database: Database, leases: Leases, drainer: Drainer) -> None:
        self._database = database
        self._leases = leases
        self._drainer = drainer

    def route(self) -> Tally:
        """Route all there is, in order within a lane; lanes that others hold wait for the next
        call. Raises `Unavailable`.
        """
        tally = Tally()
        after = 0
        while items := routable(self._database, after, BATCH_ROWS):
            by_lane = sorted(items, key=attrgetter("lane", "id"))
            for lane, group in groupby(by_lane, key=attrgetter("lane")):
                of_lane = list(group)
                for lease in self._leases.take(LANE, [str(lane)]):
                    tally = tally.plus(self._route_lane(lease, of_lane))
            after = max(item.id for item in items)
        return tally

    def _route_lane(self, lease: Lease, items: Sequence[StoredItem]) -> Tally:
        try:
            work = [self._drainer.open(item) for item in items]
            turn = Turn([lease], [lease.mark], routed=[item.id for item in items])
            return self._drainer.write(work, turn, late=True)
        except LeaseLost:
            return Tally()
        finally:
            self._leases.release([lease], broken=lease.broken)
