"""The fair share: which of a lane's waiting items a turn takes, so that a flood delays only
itself.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


class Share(NamedTuple):
    """Indexes into the window: `take` now, `defer` to the account's next turn; what lies behind
    `end` is not looked at yet and stays where it is.
    """

    take: list[int]
    defer: list[int]
    end: int


def share(
    accounts: Sequence[K], each: int, *, used: Counter[K], held: Iterable[K], is_full: bool
) -> Share:
    """Divide a lane's window, given as the account of each item in order.

    An account gets at most `each` items, less what it `used` of its turn already; those `held` have
    older items put off, so theirs go behind them. The surplus of an account is deferred only as
    far as needed to reach another account's items; when the window `is_full` there may be more
    behind it.
    """
    spent = Counter(used)
    waits = set(held)
    take: list[int] = []
    surplus: list[int] = []
    for index, account in enumerate(accounts):
        if account in waits or spent[account] >= each:
            waits.add(account)
            surplus.append(index)
        else:
            spent[account] += 1
            take.append(index)
    if is_full or not surplus:
        return Share(take, surplus, len(accounts))
    # Nobody waits behind the last item taken: leave the tail of surplus where it is. Items of held
    # accounts need no order mark: the deferred ones come first on every turn.
    end = take[-1] + 1 if take else surplus[0]
    return Share(take, [index for index in surplus if index < end], end)
