"""Which of a shopper's lists stay remembered when there are too many."""

from collections.abc import Sequence
from math import inf
from typing import Final

import msgspec

from state.published_list import PublishedList

MIN_RETAINED: Final = 2
"""The newest lists of a shopper, which stay whatever became of them; as many are remembered of their searches."""

MAX_RETAINED_FACTOR: Final = 4
"""Times as many lists as stay without a reaction are remembered of a shopper at most, whatever they wait for."""

_REACTION_DELAY: Final = 30.0
"""Seconds after another list took its place in which a reaction to a list is still likely: the page is open."""


class Retention(msgspec.Struct, frozen=True):
    """Which list of a shopper goes when there are too many.

    Attributes
    ----------
    per_user
        Lists without a reaction that stay; of all together `MAX_RETAINED_FACTOR` times as many.
    window
        Seconds after which no reaction follows another: so long a list with one stays, for a list with a click on it
        may yet lead to a purchase.

    Examples
    --------
    >>> lists = [PublishedList(f"l{at}", "fixed", at, ("shoe",)) for at in (0.0, 300.0, 301.0, 400.0, 500.0)]
    >>> Retention(per_user=4).select_eviction(lists, watermark=500.0)
    1
    >>> Retention(per_user=4).select_eviction(lists, watermark=310.0) is None
    True
    """

    per_user: int = 8
    window: float = 86_400.0

    def select_eviction(self, lists: Sequence[PublishedList], watermark: float) -> int | None:
        """The place of the list that is missed least; None where all may stay.

        Parameters
        ----------
        lists
            Of one shopper, oldest first.
        watermark
            The broker's time of the newest event that was taken from their partition: what they did since is still
            to come, and may be with any list that was up since.
        """
        per_user = max(self.per_user, MIN_RETAINED)
        if len(lists) <= per_user:
            return None
        # Reactions come some time after the look at the list.
        displayed_since = watermark - _REACTION_DELAY
        reaction_cutoff = lists[-1].at - self.window
        n_idle, n_reacted = 0, 0
        idle_index, shortest_index = None, None
        shortest_idle = shortest = inf
        for at in range(len(lists) - MIN_RETAINED):
            each, replaced_at = lists[at], lists[at + 1].at
            if each.has_reaction and each.window_start > reaction_cutoff:
                n_reacted += 1
                continue
            display_time = replaced_at - each.at
            if display_time < shortest:
                shortest_index, shortest = at, display_time
            if replaced_at <= displayed_since:
                n_idle += 1
                if display_time < shortest_idle:
                    idle_index, shortest_idle = at, display_time
        if n_idle + MIN_RETAINED > per_user:
            return idle_index
        if len(lists) <= MAX_RETAINED_FACTOR * per_user:
            return None
        if 2 * n_reacted > len(lists):
            return next(at for at, each in enumerate(lists) if each.has_reaction)
        return shortest_index
