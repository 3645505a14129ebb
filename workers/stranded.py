"""Routes what came in before its connection was there."""

from itertools import groupby
from operator import attrgetter
from typing import Final

from storage.database import Database
from storage.leases import LANE, Leases
from storage.stranded import routable
from storage.turns import Turn
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
        call.
        """
        tally = Tally()
        while items := routable(self._database, BATCH_ROWS):
            done = Tally()
            by_lane = sorted(items, key=attrgetter("lane", "id"))
            for lane, group in groupby(by_lane, key=attrgetter("lane")):
                for lease in self._leases.take(LANE, [str(lane)]):
                    work = [self._drainer.open(item) for item in group]
                    routed = [opened.stored.id for opened in work]
                    turn = Turn([lease], [lease.mark], release=True, routed=routed)
                    done = done.plus(self._drainer.write(work, turn, late=True))
            tally = tally.plus(done)
            if not done.items or done.unrouted == done.items:
                break
        return tally
