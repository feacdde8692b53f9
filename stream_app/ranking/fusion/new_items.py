"""Items without interactions in the learned fusion: how the ranker learns to judge them, and their bonus."""

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Hashes, Items, Scores
from stream_app.models.content import Content
from stream_app.models.two_tower import TwoTower
from stream_app.ranking.fusion.feature_blocks import AFFINITY_SPECS, proposal_block
from stream_app.ranking.kernels.feature_table import SessionFeature, TwoTowerFeature
from stream_app.ranking.kernels.new_items import add_bonus

HIDDEN: Final = 0.05
"""Share of the candidates whose history is hidden while a choice is learned."""

_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)


class HiddenHistory:
    """Hides the history of some candidates while a choice is learned.

    Choices of items without interactions are rare, and a ranker that has seen few of them only learns that such
    items are not chosen. So some candidates, the chosen one as often as the others, are learned as if they had no
    interactions: with the features of a new item of the same list, except for those that do not depend on
    interactions. Then the ranker knows how probable a candidate is by its content alone. Lists without a new item
    are learned as they are.

    Parameters
    ----------
    names
        Of the columns.
    models
        Names of the models with columns of their own.

    References
    ----------
    Volkovs, Yu, Poutanen: DropoutNet, NIPS 2017.
    """

    def __init__(self, names: Sequence[str], models: Collection[str]) -> None:
        kept = {spec.name for spec in AFFINITY_SPECS}
        kept |= {f"neural_{feature.spec.name}" for feature in TwoTowerFeature}
        by_content = [name for name in models if name in (Content.name, TwoTower.name)]
        kept |= {spec.name for spec in proposal_block(by_content).specs}
        self._columns: Final = np.flatnonzero([name not in kept for name in names])
        self._occurrences: Final = list(names).index(SessionFeature.OCCURRENCES.spec.name)

    def hide(
        self, matrix: NDArray[np.float32], clicks: NDArray[np.int64], hashes: Hashes, number: int
    ) -> None:
        """Hide the history of some rows.

        Parameters
        ----------
        matrix : ndarray of float32, shape (n, features)
            Of the candidates; changed.
        clicks : ndarray of int64, shape (n,)
            Interactions of each candidate.
        hashes : ndarray of uint64, shape (n,)
            Of the candidates' ids.
        number
            Of the choice: with the hashes it decides which rows are hidden, so that every replica hides the same.
        """
        is_new = clicks == 0
        if not is_new.any():
            return
        mixed = (hashes ^ np.uint64(number)) * _MULTIPLIER
        drawn = (mixed ^ (mixed >> np.uint64(29))) * _MULTIPLIER >> np.uint64(40)
        # what the user interacted with has a history in any case
        hidden = (drawn < HIDDEN * (1 << 24)) & ~is_new & (matrix[:, self._occurrences] == 0.0)
        rows = np.flatnonzero(hidden)
        template = matrix[int(np.argmax(is_new)), self._columns]
        matrix[rows[:, None], self._columns[None, :]] = template


class NewItemBonus:
    """Raises the scores of items without interactions, so that users get to see them.

    An item that is hardly less probable than others may be on no list at all, and no model learns of it then. The
    bonus is paid only to items that the two-tower model knows by their content.

    Parameters
    ----------
    names
        Of the columns.
    bonus
        Added to the score; 0 for none.

    References
    ----------
    Auer, Cesa-Bianchi, Fischer: Finite-time analysis of the multiarmed bandit problem, Machine Learning 47, 2002
    (optimism where nothing is known).
    """

    def __init__(self, names: Sequence[str], bonus: float) -> None:
        self.bonus: Final = bonus
        column = f"neural_{TwoTowerFeature.COSINE.spec.name}"
        self._column: Final = list(names).index(column) if bonus and column in names else -1

    def add(
        self, matrix: NDArray[np.float32], items: Items, clicks: NDArray[np.int64], scores: Scores
    ) -> None:
        """Add the bonus to the scores of candidates, shape (n,).

        Parameters
        ----------
        matrix : ndarray of float32, shape (n or more, features)
        items : ndarray of int32, shape (n,)
        clicks : ndarray of int64, shape (items,)
            Interactions of each item.
        """
        if self._column >= 0:
            add_bonus(matrix, self._column, items, clicks, np.float32(self.bonus), scores)
