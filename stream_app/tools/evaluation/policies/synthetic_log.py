"""A synthetic log with known truth: what estimators are tested on."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from stream_app.tools.evaluation.policies.rounds import Floats, ListDesign, Rounds

_REWARD_WEIGHTS: Final = np.array((0.8, -0.6, 0.5, 0.3, -0.2))
_LOGGING_WEIGHTS: Final = np.array((0.5, 0.0, 0.4, -0.3, 0.3))
_TARGET_WEIGHTS: Final = np.array((0.8, -0.5, 0.2, 0.3, 0.0))


class SyntheticLog(NamedTuple):
    """A log and what only its maker knows.

    Attributes
    ----------
    rounds
        The log.
    target : ndarray of float64, shape (n, candidates)
        The target's probability of each candidate.
    expected
        What the target would earn a round, on average over the clicks, in just these contexts.
    """

    rounds: Rounds
    target: Floats
    expected: float


@dataclass(frozen=True, kw_only=True)
class SyntheticScenario:
    """Shoppers who look at lists drawn by a softmax policy and click by a logistic function of the features.

    A shopper's list has `n_positions` places. Each of its candidates has 5 features, standard normal; the same for
    each place, so the rounds of one shopper depend on each other. Log-odds of a click: -`rarity`, less half a unit a
    place down, plus taste times features, plus `curvature` x (the square of the second feature - 1), which no reward
    model here can express. Logging and target policy put a candidate in a place with a chance proportional to
    exp(`inverse_temperature` x weights times features), with different weights.

    Attributes
    ----------
    users, n_positions, candidates
        Sizes.
    rarity
        The less, the more clicks.
    inverse_temperature
        How far policies are from uniform, and so from each other.
    curvature
        How wrong the reward model's class is; 0: right.
    """

    users: int = 1500
    n_positions: int = 3
    candidates: int = 10
    rarity: float = 3.0
    inverse_temperature: float = 1.0
    curvature: float = 0.0

    def truth(self, seed: int, n_logs: int = 100) -> float:
        """The target's expected reward of a round, by averaging over the contexts of many logs.

        Parameters
        ----------
        seed
            Of the first log.
        n_logs
            Logs; the error shrinks with their square root.
        """
        return float(np.mean([self.sample_log(seed + each).expected for each in range(n_logs)]))

    def sample_log(self, seed: int) -> SyntheticLog:
        """A log."""
        rng = np.random.default_rng(seed)
        features = rng.normal(size=(self.users, self.candidates, len(_REWARD_WEIGHTS))).astype(np.float32)
        lists = np.repeat(np.arange(self.users), self.n_positions)
        positions = np.tile(np.arange(self.n_positions, dtype=np.int32), self.users)
        log_odds = (
            features @ _REWARD_WEIGHTS + self.curvature * (features[:, :, 1] ** 2 - 1.0) - self.rarity
        )[lists] - 0.5 * positions[:, None]
        clicks = 1.0 / (1.0 + np.exp(-log_odds))
        logging = _softmax(self.inverse_temperature * (features @ _LOGGING_WEIGHTS))[lists]
        target = _softmax(self.inverse_temperature * (features @ _TARGET_WEIGHTS))[lists]
        rows = np.arange(len(lists))
        chosen = (rng.random(len(lists))[:, None] > logging.cumsum(axis=1)).sum(axis=1)
        chosen = np.minimum(chosen, self.candidates - 1).astype(np.int32)
        rounds = Rounds(
            names=tuple(f"item-{each}" for each in range(self.candidates)),
            candidates=np.broadcast_to(np.arange(self.candidates, dtype=np.int32), target.shape),
            chosen=chosen,
            positions=positions,
            propensities=logging[rows, chosen],
            rewards=(rng.random(len(lists)) < clicks[rows, chosen]).astype(np.float64),
            groups=lists.astype(np.int64),
            policies=("softmax",),
            policy=np.zeros(len(lists), np.int32),
            design=ListDesign(
                features=features, lists=lists, positions=positions, n_positions=self.n_positions
            ),
        )
        return SyntheticLog(rounds, target, float((target * clicks).sum(axis=1).mean()))


def _softmax(scores: Floats) -> Floats:
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities: Floats = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities
