"""Synthetic logs with a known truth, for tests of the estimators."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from stream_app.tools.evaluation.policies.rounds import Floats, ListDesign, Rounds

_REWARD_WEIGHTS: Final = np.array((0.8, -0.6, 0.5, 0.3, -0.2))
_LOGGING_WEIGHTS: Final = np.array((0.5, 0.0, 0.4, -0.3, 0.3))
_TARGET_WEIGHTS: Final = np.array((0.8, -0.5, 0.2, 0.3, 0.0))


class SyntheticLog(NamedTuple):
    """A log and its truth.

    Attributes
    ----------
    target : ndarray of float64, shape (n, candidates)
        The target's probability of each candidate.
    expected
        Expected reward of the target per round in these contexts.
    """

    rounds: Rounds
    target: Floats
    expected: float


@dataclass(frozen=True, kw_only=True)
class SyntheticScenario:
    """Users who see lists of a softmax policy and click by a logistic function of the features.

    The list of a user has `n_positions` positions. Each candidate has 5 standard normal features, the same at each
    position, so the rounds of a user depend on each other. Log-odds of a click: -`rarity`, less 0.5 per position,
    plus weights times features, plus `curvature` x (the square of the second feature - 1), which no reward model here
    can express. Logging and target policy put a candidate at a position with a probability proportional to
    exp(`inverse_temperature` x weights times features), with different weights.

    Attributes
    ----------
    users, n_positions, candidates
        Sizes of a log.
    rarity
        Larger values give fewer clicks.
    inverse_temperature
        Distance of the policies from uniform, and from each other.
    curvature
        Misspecification of the reward model; 0 for none.
    """

    users: int = 1500
    n_positions: int = 3
    candidates: int = 10
    rarity: float = 3.0
    inverse_temperature: float = 1.0
    curvature: float = 0.0

    def truth(self, seed: int, n_logs: int = 100) -> float:
        """Expected reward of the target per round, averaged over `n_logs` logs with seeds from `seed`."""
        return float(np.mean([self.sample_log(seed + each).expected for each in range(n_logs)]))

    def sample_log(self, seed: int) -> SyntheticLog:
        """Sample a log."""
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
