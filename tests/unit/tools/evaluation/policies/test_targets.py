"""Target policies: valid probabilities, and the orders that they represent."""

from dataclasses import replace

import numpy as np
import pytest

from stream_app.errors import UserError
from stream_app.tools.evaluation.policies import targets
from stream_app.tools.evaluation.policies.reward_models import RewardModel, fit
from stream_app.tools.evaluation.policies.rounds import NO_CANDIDATE, ListDesign, Rounds


def rounds_of_lists(items: list[list[int]], features: list[list[float]]) -> Rounds:
    """Every position of some lists as a round; one feature per candidate."""
    width = max(len(each) for each in items)
    candidates = np.full((len(items), width), NO_CANDIDATE, np.int32)
    features_by_list = np.zeros((len(items), width, 1), np.float32)
    for at, (items_of_list, numbers) in enumerate(zip(items, features, strict=True)):
        candidates[at, : len(items_of_list)] = items_of_list
        features_by_list[at, : len(items_of_list), 0] = numbers
    of_list = np.repeat(np.arange(len(items)), [len(each) for each in items])
    positions = np.concatenate([np.arange(len(each)) for each in items]).astype(np.int32)
    n = len(of_list)
    return Rounds(
        names=tuple("abcdef"),
        candidates=candidates[of_list],
        chosen=positions,
        positions=positions,
        propensities=np.full(n, 0.5),
        rewards=np.zeros(n),
        groups=of_list,
        policies=("x",),
        policy=np.zeros(n, np.int32),
        design=ListDesign(features=features_by_list, lists=of_list, positions=positions, n_positions=width),
    )


@pytest.fixture
def rounds() -> Rounds:
    return rounds_of_lists([[0, 1, 2], [3, 1]], [[0.1, 0.9, 0.5], [2.0, 1.0]])


def model(rounds: Rounds) -> RewardModel:
    """A larger feature is better."""
    features = np.zeros((20, rounds.design.width))
    features[:, 0] = 1.0
    features[:, -1] = np.linspace(-1, 1, 20)
    return fit(features, features[:, -1], logistic=False, constants=rounds.design.constants)


def test_uniform_gives_equal_probabilities(rounds: Rounds) -> None:
    third = [1 / 3] * 3
    assert targets.uniform(rounds).probabilities.tolist() == [
        third,
        third,
        third,
        [0.5, 0.5, 0],
        [0.5, 0.5, 0],
    ]


def test_greedy_ranks_by_score(rounds: Rounds) -> None:
    found = targets.greedy(rounds, model(rounds)).probabilities
    assert found.argmax(axis=1).tolist() == [1, 2, 0, 0, 1]
    assert found.sum(axis=1).tolist() == [1.0] * 5


def test_softmax_prefers_higher_scores_without_repetition(rounds: Rounds) -> None:
    found = targets.softmax(rounds, model(rounds), temperature=0.5, seed=3).probabilities
    assert found.sum(axis=1) == pytest.approx(np.ones(5))
    assert found[0, 1] > found[0, 2] > found[0, 0]
    # over the positions of a list each item occurs once, up to sampling error (draws differ by position)
    assert found[:3].sum(axis=0) == pytest.approx(np.ones(3), abs=0.15)
    assert found[3:, 2].tolist() == [0.0, 0.0]
    assert (found == targets.softmax(rounds, model(rounds), temperature=0.5, seed=3).probabilities).all()


def test_softmax_is_uniform_when_hot_and_greedy_when_cold(rounds: Rounds) -> None:
    hot = targets.softmax(rounds, model(rounds), temperature=100.0, seed=3).probabilities
    assert hot == pytest.approx(targets.uniform(rounds).probabilities, abs=4 * 0.5 / np.sqrt(targets.DRAWS))
    cold = targets.softmax(rounds, model(rounds), temperature=0.01, seed=3).probabilities
    assert cold == pytest.approx(targets.greedy(rounds, model(rounds)).probabilities)


def test_frequencies_of_another_log_are_by_position(rounds: Rounds) -> None:
    other_log = rounds_of_lists([[0, 1], [0, 2], [1, 0], [4, 0]], [[0.0, 0.0]] * 4)
    found = targets.frequencies(rounds, other_log)
    assert found.probabilities[0].tolist() == [0.5, 0.25, 0.0]  # first position: a twice, b once, e once
    assert found.probabilities[1].tolist() == [0.5, 0.25, 0.25]
    assert found.probabilities[3].tolist() == [0.0, 0.25, 0.0]  # d is never displayed there, b is
    # the other log has no third position: it gets the frequencies of all positions
    assert found.probabilities[2].tolist() == [0.5, 0.25, 0.125]
    assert found.out_of_support == pytest.approx(1 - found.probabilities.sum() / 5)


def test_items_are_matched_by_name(rounds: Rounds) -> None:
    other_log = replace(rounds_of_lists([[0], [1]], [[0.0]] * 2), names=("b", "c"))
    assert targets.frequencies(rounds, other_log).probabilities[0].tolist() == [0.0, 0.5, 0.5]


def test_log_is_split_by_first_appearance_of_users(rounds: Rounds) -> None:
    earlier, later = rounds.split(0.5)
    assert (earlier.groups.tolist(), later.groups.tolist()) == ([0, 0, 0], [1, 1])
    assert later.design.candidate_features(np.array([0]))[0, 0, -1] == 2.0
    with pytest.raises(UserError, match="too few"):
        later.split(0.5)
