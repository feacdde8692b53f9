"""Selects which of a user's published lists to evict."""

from collections.abc import Sequence
from math import inf
from typing import Final

import msgspec

from state.published_list import PublishedList

MIN_RETAINED: Final = 2
"""Number of a user's newest lists that are always retained; also the number of retained search lists."""

MAX_RETAINED_FACTOR: Final = 4
"""Upper bound of all lists of a user, as a multiple of the lists retained without a reaction."""

REACTION_DELAY: Final = 30.0
"""Seconds after its replacement in which a reaction to a list is still likely, because the page may be open."""


class Retention(msgspec.Struct, frozen=True):
    """The eviction rule for the lists of one user.

    Attributes
    ----------
    per_user
        Retained lists without a reaction; all lists together are at most `MAX_RETAINED_FACTOR` times as many.
    window
        Seconds for which a list with a reaction is retained: a list with a click may still lead to a purchase.

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
        """The index of the list to evict; None if all are retained.

        Parameters
        ----------
        lists
            The lists of one user, oldest first.
        watermark
            The broker's timestamp of the newest processed event of the user's partition. Later events are still to
            come, and may react to any list that was displayed since then.
        """
        per_user = max(self.per_user, MIN_RETAINED)
        if len(lists) <= per_user:
            return None
        # A reaction follows the display of the list with a delay.
        displayed_since = watermark - REACTION_DELAY
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
