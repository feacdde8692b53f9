"""Checks of a policy: slates, propensities, learning, saved states and bounds."""

from collections.abc import Callable
from copy import deepcopy
from typing import Final

import numpy as np

from stream_app.bandit.river_policy import RiverPolicy
from stream_app.tools.model_checks.bounds import expect_forgotten
from stream_app.tools.model_checks.harness import leaves, same
from stream_app.tools.model_checks.model_check import (
    Checks,
    NotApplicableError,
    check,
    expect,
    fail,
)
from stream_app.tools.model_checks.policy_harness import LISTED, WIDTH, PolicyHarness, candidates, items
from stream_app.tools.model_checks.state import expect_plain

CHECKS: Checks = []

Make = Callable[..., PolicyHarness]

_SEEDS: Final = 600
_STANDARD_ERRORS: Final = 5.0
"""By chance, one propensity in a million differs more from what was drawn."""


@check(CHECKS, "Return `Slate` as its docstring says: rows of the candidates, and a propensity for each.")
def check_slates_are_well_formed(make: Make) -> None:
    """A slate has k distinct candidates, or all there are, each with a propensity in (0, 1]."""
    for harness in (make(), make().learn(60)):
        for n, k in ((0, 5), (1, 1), (1, 5), (30, 0), (30, 1), (30, LISTED), (30, 30), (30, 50)):
            slate = harness.decide(3, k=k, n=n)
            order, propensities = slate.order.tolist(), slate.propensities
            expect(len(order) == min(n, k), f"{len(order)} of {n} candidates for k = {k}")
            expect(len(propensities) == len(order), f"{len(propensities)} propensities of {len(order)} items")
            expect(len(set(order)) == len(order), "a candidate is on the slate twice")
            expect(all(0 <= row < n for row in order), "a slate names a row that is no candidate")
            expect(((propensities > 0) & (propensities <= 1)).all(), "a propensity is not in (0, 1]")


@check(CHECKS, "Take all randomness of `decide` from its seed, and change nothing in it.")
def check_decisions_repeat_with_the_seed(make: Make) -> None:
    """The same seed gives the same slate, and deciding changes nothing."""
    harness = make().learn(60)
    before = harness.policy.state()
    first = [harness.decide(seed) for seed in (5, -1, 2**70, 5)]
    expect(same(before, harness.policy.state()), "the state differs after a decision")
    for one, other in ((first[0], first[3]), (first[1], harness.decide(-1))):
        expect(one.order.tolist() == other.order.tolist(), "the same seed gives another slate")
        expect(
            one.propensities.tolist() == other.propensities.tolist(), "the same seed gives other propensities"
        )


@check(
    CHECKS,
    "Return the probability over all seeds, not that of the draw; an ensemble of slates has exact ones.",
)
def check_propensities_are_those_of_the_draws(make: Make) -> None:
    """A candidate is at a position for as many seeds as its propensity says, which is the same for all seeds."""
    harness = make().learn(200)
    drawn: dict[tuple[int, int], int] = {}
    told: dict[tuple[int, int], float] = {}
    for seed in range(_SEEDS):
        slate = harness.decide(seed, k=3)
        for cell, propensity in zip(
            enumerate(slate.order.tolist()), slate.propensities.tolist(), strict=True
        ):
            drawn[cell] = drawn.get(cell, 0) + 1
            expect(
                abs(told.setdefault(cell, propensity) - propensity) < 1e-9,
                f"candidate {cell[1]} at position {cell[0]} has the propensities {told[cell]:.4g} and "
                f"{propensity:.4g}",
            )
    for (position, row), propensity in told.items():
        share = drawn[position, row] / _SEEDS
        allowed = _STANDARD_ERRORS * np.sqrt(max(propensity * (1.0 - propensity), 1e-4) / _SEEDS)
        expect(
            abs(share - propensity) <= allowed,
            f"candidate {row} is at position {position} for {share:.1%} of the seeds, its propensity is "
            f"{propensity:.1%}",
        )


@check(
    CHECKS,
    "Take all randomness of learning from the settings' seed, and iterate over no set.",
    river="Give it, and the objects within it, a `seed`, such as `(seed=1)`; without one, lists of workers differ.",
)
def check_learning_is_deterministic(make: Make) -> None:
    """The same feedback in the same order gives the same state, and the same slates."""
    one, other = make().learn(100), make().learn(100)
    expect(
        same(one.policy.state(), other.policy.state()), "two policies with the same feedback differ in state"
    )
    expect(one.slates() == other.slates(), "two policies with the same feedback give different slates")


@check(CHECKS, "Learn in `observe_impressions` and `_learn_reward`, or set `learns = False`.")
def check_feedback_is_learned(make: Make) -> None:
    """Feedback changes the state of a policy that learns, and of no other."""
    harness = make()
    before = harness.policy.state()
    changes = not same(before, harness.learn(60).policy.state())
    learns = harness.policy.learns
    expect(
        changes == learns,
        f"`learns` is {learns}, and feedback {'changes' if changes else 'does not change'} it",
    )


@check(CHECKS, "Override `_learn_reward`, not `reward`, which drops and clips such values; check features.")
def check_extreme_feedback_is_harmless(make: Make) -> None:
    """After NaN, infinite and huge rewards and features, slates are valid."""
    harness = make().learn(60)
    strange = candidates(LISTED)
    strange[3], strange[4, 1], strange[5], strange[6] = np.nan, np.inf, -np.inf, 1e30
    before = harness.policy.state()
    for value in (np.nan, np.inf, -np.inf):
        harness.policy.reward(candidates(1)[0], 0, value, 4_000.0, item=int(items(1)[0]), user="u1")
    expect(same(before, harness.policy.state()), "a reward that is no number is learned")
    harness.policy.observe_impressions(strange, np.arange(LISTED, dtype=np.int32), 4_000.0, items(LISTED))
    for value in (1e300, -1e300):
        harness.policy.reward(strange[3], 3, value, 4_000.0, item=int(items(LISTED)[3]), user="u1")
    for features in (strange, candidates(LISTED)):
        slate = harness.policy.decide(features, LISTED, 1, items(LISTED))
        expect(sorted(slate.order.tolist()) == list(range(LISTED)), "a slate is no order of the candidates")
        expect(np.isfinite(slate.propensities).all(), "propensities are not finite")


@check(CHECKS, "Call `self._validated(features)` in `decide`.")
def check_other_features_are_refused(make: Make) -> None:
    """Candidates with another number of features raise a ValueError."""
    harness = make()
    try:
        harness.policy.decide(np.ones((3, WIDTH + 1), np.float32), 2, 1, items(3))
    except ValueError:
        return
    fail(f"{WIDTH + 1} features are accepted by a policy of {WIDTH}")


@check(CHECKS, "Put numbers, texts, bytes, lists, dictionaries and numpy arrays into the state; copy arrays.")
def check_state_is_plain_data(make: Make) -> None:
    """The state is plain data that shares no memory with the policy."""
    harness = make().learn(60)
    state = harness.policy.state()
    expect_plain(state)
    copy = deepcopy(state)
    harness.learn(60, seed=2)
    expect(same(state, copy), "a state changed when the policy learned more")


@check(CHECKS, "Save everything that slates and learning depend on; copy restored arrays.")
def check_state_round_trips(make: Make) -> None:
    """A restored policy has the state, the slates and the further learning of the original."""
    harness, other = make().learn(100), make().learn(10, seed=4)
    state = harness.policy.state()
    for leaf in leaves(state):
        if isinstance(leaf, np.ndarray):
            leaf.flags.writeable = False  # as arrays read from a file are
    other.policy.restore(state)
    for part in ("at once", "after it learned more"):
        expect(same(harness.policy.state(), other.policy.state()), f"the state differs {part}")
        expect(harness.slates() == other.slates(), f"slates differ {part}")
        harness.learn(40, seed=5)
        other.learn(40, seed=5)


@check(CHECKS, "Inherit `state` and `restore`; keep all settings in `config_class`.")
def check_incompatible_states_are_rejected(make: Make) -> None:
    """A state of another format, policy or setting raises a ValueError."""
    harness = make()
    state = harness.policy.state()
    wrong = {"format": {**state, "format": 99}, "state belongs to": {**state, "name": "another"}}
    for parameter in state["parameters"]:
        wrong[parameter] = {**state, "parameters": {**state["parameters"], parameter: -5}}
    for message, each in wrong.items():
        try:
            harness.policy.restore(each)
        except ValueError as error:
            expect(message in str(error), f"the error does not name {message!r}: {error}")
        else:
            fail(f"a state with another {message} is restored")


@check(
    CHECKS,
    "Bound every table by a setting; call it `capacity` for items, `sessions` for sessions and `max_users` for "
    "users, which this check makes small.",
)
def check_memory_is_bounded(make: Make) -> None:
    """Memory stays the same while ever new items are shown, once the limits are reached."""
    harness = make(max_arms=64, capacity=64, sessions=40, max_users=40)
    sizes = [harness.learn(150, seed=part, first_item=10_000 * part).policy.memory() for part in range(1, 7)]
    expect(
        sizes[-1] <= 1.1 * sizes[1] + 2_000,
        f"memory grows from {sizes[1]:,} bytes after 300 lists to {sizes[-1]:,} after 900",
    )


@check(CHECKS, "Drop in `forget_user` all that is keyed by the user.")
def check_forgets_users(make: Make) -> None:
    """After `forget_user`, neither the id nor its hash is in the state."""
    harness = make().learn(60)
    harness.policy.forget_user("u1")
    harness.policy.forget_user("never seen")
    expect_forgotten(harness.policy.state(), "u1")


@check(CHECKS, "Take the settings from `self.parameters`, and learn in no class attribute.")
def check_clones_have_learned_nothing(make: Make) -> None:
    """A clone has the same settings, and has learned nothing; what it learns changes nothing else."""
    harness = make().learn(60)
    if isinstance(harness.policy, RiverPolicy):
        raise NotApplicableError("the policy wraps one of River, which makes its own clones")
    before, clone = harness.policy.state(), harness.policy.clone()
    expect(clone.parameters == harness.policy.parameters, "a clone has other settings")
    expect(same(clone.state(), make().policy.state()), "a clone has learned something")
    clone.reward(candidates(1)[0], 0, 1.0, 60.0, item=int(items(1)[0]), user="u1")
    expect(same(before, harness.policy.state()), "what a clone learns changes the original")
