"""Target policies: the probability of each candidate at the position of each logged round."""

from typing import Final, NamedTuple

import numpy as np

from stream_app.tools.evaluation.policies.reward_models import RewardModel
from stream_app.tools.evaluation.policies.rounds import Floats, Rounds

DRAWS: Final = 100
"""Sampled orders that estimate the propensities of a softmax policy."""


class TargetProbabilities(NamedTuple):
    """Probabilities of a target policy on a log.

    Attributes
    ----------
    probabilities : ndarray of float64, shape (n, a)
        Probability of each candidate in each round; a row sums to 1 less the part out of support.
    out_of_support
        Mean probability of items that are not candidates of the round.
    """

    probabilities: Floats
    out_of_support: float = 0.0


def uniform(rounds: Rounds) -> TargetProbabilities:
    """All candidates are equally likely."""
    is_candidate = rounds.candidates >= 0
    return TargetProbabilities(is_candidate / is_candidate.sum(axis=1, keepdims=True))


def frequencies(rounds: Rounds, other: Rounds) -> TargetProbabilities:
    """Frequencies of the items at each position of another log, independent of the user.

    This is the policy of the other log if it is not personalized, averaged over the time of that log.

    Parameters
    ----------
    other
        The log of the target policy. A position that it does not have gets the frequencies of all positions.
    """
    n_positions = max(rounds.n_positions, other.n_positions)
    counts = np.zeros((n_positions, len(other.names)))
    np.add.at(counts, (other.positions, other.items), 1.0)
    counts[counts.sum(axis=1) == 0.0] = counts.sum(axis=0)
    shares = counts / counts.sum(axis=1, keepdims=True)
    at = {name: index for index, name in enumerate(other.names)}
    item_columns = np.array([at.get(name, -1) for name in rounds.names])
    by_item = np.where(item_columns >= 0, shares[:, item_columns], 0.0)
    by_round = np.where(rounds.candidates >= 0, by_item[rounds.positions[:, None], rounds.candidates], 0.0)
    return TargetProbabilities(by_round, max(0.0, float(1.0 - by_round.sum(axis=1).mean())))


def greedy(rounds: Rounds, model: RewardModel) -> TargetProbabilities:
    """The candidates in the order of their expected rewards, deterministic.

    Parameters
    ----------
    model
        Fitted on other rounds: otherwise the policy has seen the rewards.
    """
    probabilities = np.zeros(rounds.candidates.shape)
    for rows, features in rounds.batches():
        scores = np.where(rounds.candidates[rows] >= 0, model.scores(features), -np.inf)
        order = np.argsort(-scores, axis=1, kind="stable")
        probabilities[rows, order[np.arange(len(rows)), rounds.positions[rows]]] = 1.0
    return TargetProbabilities(probabilities)


def softmax(rounds: Rounds, model: RewardModel, *, temperature: float, seed: int) -> TargetProbabilities:
    """Candidates drawn position by position, without replacement, in proportion to exp(score / temperature).

    The probability of a candidate at a position is its frequency in `DRAWS` sampled orders.

    Parameters
    ----------
    model
        Fitted on other rounds.
    temperature
        Temperature, in standard deviations of the scores.

    References
    ----------
    Plackett: The analysis of permutations, JRSS-C 1975; drawn by adding Gumbel noise (Kool, van Hoof, Welling:
    Stochastic beams and where to find them, ICML 2019).
    """
    is_candidate = rounds.candidates >= 0
    scores = np.full(rounds.candidates.shape, -np.inf)
    for rows, features in rounds.batches():
        scores[rows] = np.where(is_candidate[rows], model.scores(features), -np.inf)
    centered = np.where(is_candidate, scores, np.nan)
    std_dev = float(np.nanstd(centered - np.nanmean(centered, axis=1, keepdims=True)))
    scores /= temperature * std_dev if std_dev > 0.0 else 1.0
    rng = np.random.default_rng(seed)
    probabilities = np.zeros(rounds.candidates.shape)
    rows = np.arange(len(rounds))
    for _ in range(DRAWS):
        order = np.argsort(-(scores + rng.gumbel(size=scores.shape)), axis=1)
        probabilities[rows, order[rows, rounds.positions]] += 1.0 / DRAWS
    return TargetProbabilities(probabilities)
