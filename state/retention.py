"""Which of a shopper's lists stay remembered when there are too many."""

from collections.abc import Sequence
from math import inf
from typing import Final

import msgspec

from state.published_list import PublishedList

KEPT: Final = 2
"""The newest lists of a shopper, which stay whatever became of them; as many are remembered of their searches."""

ROOM: Final = 4
"""Times as many lists as stay without a reaction are remembered of a shopper at most, whatever they wait for."""

_LINGER: Final = 30.0
"""Seconds after another list took its place in which a reaction to a list is still likely: the page is open."""


class Retention(msgspec.Struct, frozen=True):
    """Which list of a shopper goes when there are too many.

    Attributes
    ----------
    per_user
        Lists without a reaction that stay; of all together `ROOM` times as many.
    window
        Seconds after which no reaction follows another: so long a list with one stays, for a list with a click on it
        may yet lead to a purchase.

    Examples
    --------
    >>> lists = [PublishedList(f"l{at}", "fixed", at, ("shoe",)) for at in (0.0, 300.0, 301.0, 400.0, 500.0)]
    >>> Retention(per_user=4).dispensable(lists, taken=500.0)
    1
    >>> Retention(per_user=4).dispensable(lists, taken=310.0) is None
    True
    """

    per_user: int = 8
    window: float = 86_400.0

    def dispensable(self, lists: Sequence[PublishedList], taken: float) -> int | None:
        """The place of the list that is missed least; None where all may stay.

        Parameters
        ----------
        lists
            Of one shopper, oldest first.
        taken
            The broker's time of the newest event that was taken from their partition: what they did since is still
            to come, and may be with any list that was up since.
        """
        per_user = max(self.per_user, KEPT)
        if len(lists) <= per_user:
            return None
        # Reactions come some time after the look at the list.
        up_since = taken - _LINGER
        oldest_with = lists[-1].at - self.window
        idle, with_reaction = 0, 0
        idlest, briefest = None, None
        shortest_of_idle = shortest = inf
        for at in range(len(lists) - KEPT):
            each, until = lists[at], lists[at + 1].at
            if each.reacted and each.since > oldest_with:
                with_reaction += 1
                continue
            shown = until - each.at
            if shown < shortest:
                briefest, shortest = at, shown
            if until <= up_since:
                idle += 1
                if shown < shortest_of_idle:
                    idlest, shortest_of_idle = at, shown
        if idle + KEPT > per_user:
            return idlest
        if len(lists) <= ROOM * per_user:
            return None
        if 2 * with_reaction > len(lists):
            return next(at for at, each in enumerate(lists) if each.reacted)
        return briefest
