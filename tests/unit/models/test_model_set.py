"""The models of a replica, folded from interactions."""

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import stream_app.models.kernels
from stream_app.errors import UserError
from stream_app.experiment.comparison import PolicyComparison
from stream_app.models.affected_lists import affected_segments
from stream_app.models.base import Items
from stream_app.models.interaction_kinds import KIND_STREAMS, KIND_WEIGHTS
from stream_app.models.kernels import topk
from stream_app.models.model_set import ModelSet
from stream_app.models.registry import MODELS
from stream_app.models.segments import NEW_USERS
from stream_app.models.warm_up import warm_up
from topics.events import CatalogItem
from topics.records import Interaction, Kind, Line, Reward, RewardKind, Source

SOURCES = {Kind.PURCHASE: Source.PURCHASE, Kind.SEARCH: Source.SEARCH, Kind.DISLIKE: Source.FEEDBACK}
ALL = tuple(MODELS)


def interaction(
    offset: int,
    user: str,
    *items: str,
    kind: Kind = Kind.VIEW,
    ts: float | None = None,
    partition: int = 0,
    segments: tuple[str, ...] = (),
) -> Interaction:
    return Interaction(
        SOURCES.get(kind, Source.CLICK),
        partition,
        offset,
        100.0 * offset if ts is None else ts,
        user,
        kind,
        tuple(Line(item) for item in items),
        segments,
    )


def test_under_overload_the_sums_are_complete_and_costly_models_have_a_sample() -> None:
    names = ["popularity", "item_to_item", "bpr"]
    complete, overloaded = ModelSet(names), ModelSet(names)
    overloaded.is_overloaded = True
    interactions = [interaction(offset, f"u{offset % 9}", f"i{offset % 20}") for offset in range(400)]
    for each in interactions:
        complete.learn(each)
        overloaded.learn(each)
    assert overloaded.digest() == complete.digest()
    assert overloaded.n_unlearned == pytest.approx(300, rel=0.1)
    assert complete.n_unlearned == 0
    sampled = ModelSet(names)
    for each in interactions:
        sampled.is_overloaded = each.offset < 200
        sampled.learn(each)
    assert 0 < sampled.n_unlearned < overloaded.n_unlearned


def log(length: int = 300, seed: int = 0) -> list[Interaction]:
    """A log over 4 partitions; each user has one partition."""
    rng = np.random.default_rng(seed)
    kinds = [Kind.VIEW, Kind.VIEW, Kind.CART, Kind.PURCHASE, Kind.SEARCH, Kind.DISLIKE]
    result = []
    for offset in range(length):
        user = int(rng.integers(12))
        kind = kinds[rng.integers(len(kinds))]
        items = [f"i{rng.integers(20)}" for _ in range(0 if kind is Kind.SEARCH else 1 + (offset % 3 == 0))]
        result.append(
            interaction(
                offset, f"u{user}", *items, kind=kind, partition=user % 4, segments=(f"country:{user % 2}",)
            )
        )
    return result


def fold(interactions: list[Interaction], names: tuple[str, ...] = ALL, **parameters: Any) -> ModelSet:
    models = ModelSet(names, **parameters)
    for each in interactions:
        assert models.learn(each)
    return models


def lists(models: ModelSet) -> list[list[tuple[str, float]]]:
    result = []
    for user in ("u1", "u2", ""):
        context = models.context(user, ["i1", "i2", "unknown"], [1.0, 2.0, 3.0], 0, ("country:1",), 3.0)
        for _, candidates in models.candidates(context, 10):
            pairs = zip(candidates.items.tolist(), candidates.scores.tolist(), strict=True)
            result.append([(models.index.id_of(item), score) for item, score in pairs])
    return result


def test_every_kind_has_a_weight_and_a_stream() -> None:
    assert set(Kind) - set(KIND_WEIGHTS) == {Kind.SEARCH, Kind.ERASE}
    assert {kind for kind in KIND_STREAMS if KIND_WEIGHTS[kind] <= 0} == set()


def test_an_interaction_at_or_below_the_watermark_changes_nothing() -> None:
    models = fold(log())
    digest, version, rankings = models.digest(), models.version, lists(models)
    assert not any(models.learn(each) for each in log())
    assert (models.digest(), models.version, lists(models)) == (digest, version, rankings)
    last = log()[-1]
    assert models.learn(interaction(10_000, "u1", "i1", partition=last.partition))
    assert models.digest() != digest


def test_watermarks_are_kept_by_topic_and_partition() -> None:
    models = ModelSet(["popularity"])
    assert models.learn(interaction(5, "u", "a"))
    assert models.learn(interaction(3, "u", "a", partition=1))
    assert models.learn(interaction(3, "u", "a", kind=Kind.PURCHASE))
    assert not models.learn(interaction(5, "u", "a"))
    assert models.watermarks == {
        (Source.CLICK, 0): 5,
        (Source.CLICK, 1): 3,
        (Source.PURCHASE, 0): 3,
    }
    assert (models.version, models.newest) == (3, 500.0)


def test_a_search_is_folded_but_has_no_items() -> None:
    models = ModelSet(ALL)
    assert models.learn(interaction(0, "u", kind=Kind.SEARCH))
    assert (models.version, len(models.index)) == (1, 0)


def test_the_items_of_one_purchase_are_bought_together() -> None:
    models = fold([interaction(0, "u", "a", "b", kind=Kind.PURCHASE)], ("item_to_item",))
    context = models.context("", ["a"], [0.0], 0, (), 0.0)
    [(model, result)] = models.candidates(context, 10)
    assert [models.index.id_of(item) for item in result.items] == ["b"]
    assert model.explain(context, int(result.items[0]), int(result.evidence[0])).source == "also_bought"


def test_an_erased_user_is_forgotten() -> None:
    models = fold([interaction(0, "ann", "a"), interaction(1, "ann", "b")])
    assert models.learn(interaction(2, "ann", kind=Kind.ERASE))
    assert len(models.tracker) == 0
    assert "ann" not in repr(models.state())
    assert models.version == 3


@given(st.permutations(range(4)), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_replicas_agree_for_any_interleaving_of_partitions(first: list[int], random: Any) -> None:
    partitions = {number: [each for each in log() if each.partition == number] for number in first}
    shuffled = []
    while any(partitions.values()):
        number = random.choice([number for number, left in partitions.items() if left])
        shuffled.append(partitions[number].pop(0))
    assert [each.offset for each in shuffled] != [each.offset for each in log()]
    names = ("popularity", "item_to_item")
    ours, theirs = fold(log(), names), fold(shuffled, names)
    assert ours.digest() == theirs.digest()
    for left, right in zip(lists(ours), lists(theirs), strict=True):
        assert dict(left) == pytest.approx(dict(right), rel=1e-5)


def test_clicks_and_purchases_of_a_user_may_be_folded_in_any_order() -> None:
    clicks = [each for each in log() if each.source is Source.CLICK]
    purchases = [each for each in log() if each.source is Source.PURCHASE]
    assert fold(clicks + purchases).digest() == fold(purchases + clicks).digest()


def test_the_digest_depends_on_the_sums_and_not_on_item_numbering() -> None:
    events = [interaction(0, "u1", "a", ts=0.0), interaction(1, "u2", "b", ts=0.0)]
    models = ModelSet(ALL)
    models.index.index("b", 0.0)
    for each in events:
        models.learn(each)
    assert models.digest() == fold(events).digest()
    assert models.digest() != fold(events[:1]).digest()


def test_a_restored_model_set_continues_like_the_original() -> None:
    whole = fold(log(400))
    half = fold(log(400)[:200])
    other = ModelSet(ALL)
    other.restore(half.state())
    assert lists(other) == lists(half)
    for each in log(400):
        assert other.learn(each) == (each.offset >= 200)
    assert (other.version, other.newest, other.watermarks) == (whole.version, whole.newest, whole.watermarks)
    assert other.digest() == whole.digest()
    assert lists(other) == lists(whole)


def reward(offset: int, line: int = 0, *, source: Source = Source.CLICK, partition: int = 0) -> Reward:
    return Reward(
        source=source,
        partition=partition,
        offset=offset,
        line=line,
        ts=100.0,
        user_id="ann",
        list_id="l",
        policy="thompson",
        kind=RewardKind.CLICK,
    )


class RecordingLearner:
    """Learns from rewards, and from nothing else."""

    name: ClassVar[str] = "policy"

    def __init__(self) -> None:
        self.rewards: list[tuple[Source, int, int, int]] = []
        self.forgotten_users: list[str] = []

    def on_interaction(self, interaction: Interaction) -> None: ...

    def on_reward(self, reward: Reward) -> None:
        self.rewards.append((reward.source, reward.partition, reward.offset, reward.line))

    def forget_user(self, user: str) -> None:
        self.forgotten_users.append(user)

    def forget_items(self, items: Items) -> None: ...

    def state(self) -> dict[str, Any]:
        return {"rewards": [list(each) for each in self.rewards]}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.rewards = [(Source(source), *rest) for source, *rest in state["rewards"]]

    def memory(self) -> int:
        return 0


def model_set_with_learner() -> tuple[ModelSet, RecordingLearner]:
    models, policy = ModelSet(["popularity"]), RecordingLearner()
    models.learners.append(policy)
    return models, policy


def test_each_reward_reaches_the_reward_learners_once() -> None:
    models, policy = model_set_with_learner()
    records = [(5, 0), (5, 2), (5, 1), (5, 2), (4, 9), (6, 0)]
    assert [models.learn_reward(reward(*record)) for record in records] == [
        True,
        True,
        False,
        False,
        False,
        True,
    ]
    assert [record_id[2:] for record_id in policy.rewards] == [(5, 0), (5, 2), (6, 0)]
    # an interaction of the same event has a watermark of its own
    assert models.learn(interaction(6, "ann", "shoe"))
    assert models.version == 1


def test_an_erasure_reward_makes_reward_learners_forget_the_user_once() -> None:
    models, policy = model_set_with_learner()
    # a reward from before the erasure, folded after the interaction that erased the user
    models.learn(interaction(9, "ann", kind=Kind.ERASE))
    models.learn_reward(reward(5))
    policy.forgotten_users.clear()
    erasure = replace(reward(9, source=Source.ERASURE), kind=RewardKind.ERASURE, list_id="", policy="")
    assert [models.learn_reward(erasure) for _ in range(2)] == [True, False]
    assert policy.forgotten_users == ["ann"]
    assert len(policy.rewards) == 1


def test_the_comparison_keeps_no_erased_user_whose_rewards_arrive_late() -> None:
    models, comparison = ModelSet(["popularity"]), PolicyComparison()
    models.learners.append(comparison)
    models.learn(interaction(9, "ann", kind=Kind.ERASE))
    models.learn_reward(reward(5))
    erasure = replace(reward(9, source=Source.ERASURE), kind=RewardKind.ERASURE, list_id="", policy="")
    models.learn_reward(erasure)
    assert comparison.state()["users"] == []
    assert set(comparison.policies) == {"thompson"}


def test_reward_watermarks_are_kept_by_topic_and_partition() -> None:
    models, policy = model_set_with_learner()
    assert models.learn_reward(reward(5))
    assert models.learn_reward(reward(5, partition=1))
    assert models.learn_reward(reward(5, source=Source.PURCHASE))
    assert len(policy.rewards) == 3


def test_folded_rewards_are_skipped_after_a_restore() -> None:
    models, policy = model_set_with_learner()
    for offset in range(3):
        models.learn_reward(reward(offset, 1))
    restored, again = model_set_with_learner()
    restored.restore(models.state())
    assert again.rewards == policy.rewards
    assert not restored.learn_reward(reward(2, 1))
    assert restored.learn_reward(reward(2, 2))


def test_rewards_advance_the_watermark_without_reward_learners() -> None:
    models = ModelSet(["popularity"])
    assert models.learn_reward(reward(0))
    assert not models.learn_reward(reward(0))


def test_an_incompatible_state_is_rejected() -> None:
    state = fold(log(20)).state()
    with pytest.raises(ValueError, match="format"):
        ModelSet(ALL).restore({**state, "format": 0})
    with pytest.raises(ValueError, match="half_life"):
        ModelSet(ALL, half_life=5.0).restore(state)
    with pytest.raises(ValueError, match="names"):
        ModelSet(["popularity"]).restore(state)


def test_an_unknown_model_raises_a_user_error() -> None:
    with pytest.raises(UserError, match="no model"):
        ModelSet(["deep_thought"])


def test_evicted_items_are_forgotten_by_every_part() -> None:
    models = ModelSet(ALL, max_items=30)
    rng = np.random.default_rng(0)
    for offset in range(3000):
        models.learn(interaction(offset, f"u{rng.integers(50)}", f"i{rng.integers(200)}"))
    assert len(models.index) <= 30
    for rankings in lists(models):  # id_of raises for an evicted item
        assert len(rankings) == len(dict(rankings))
    assert any(lists(models))


def test_catalog_facts_are_stored() -> None:
    models = fold([interaction(0, "u", "a")])
    models.learn_catalog(
        CatalogItem(ts=5, item_id="a", price=9.5, available=False, categories=["x"], brand="b")
    )
    item = models.index.find("a")
    assert not models.index.available[item]
    assert float(models.index.prices[item]) == 9.5
    models.learn(interaction(1, "u", "a", segments=("country:FR",)))
    assert models.segments() == ["category:x", "country:FR", NEW_USERS]


def test_a_full_index_accepts_facts_of_known_items_only() -> None:
    models = ModelSet(ALL, max_items=2)
    models.learn(interaction(0, "u", "a"))
    for name in ("b", "c", "a"):
        models.learn_catalog(CatalogItem(ts=10, item_id=name, price=1.0))
    assert [models.index.find(name) >= 0 for name in "abc"] == [True, True, False]
    assert float(models.index.prices[models.index.find("a")]) == 1.0


def test_memory_is_reported_for_every_part() -> None:
    assert set(fold(log(20)).memory()) == {"items", "sessions", "outliers", *ALL}


def test_warm_up_compiles_every_kernel() -> None:
    modules = [
        import_module(module.name)
        for module in pkgutil.iter_modules(stream_app.models.kernels.__path__, "stream_app.models.kernels.")
    ]
    assert topk in modules

    def n_compiled_signatures() -> int:
        result = (value for module in modules for value in vars(module).values())
        return sum(len(value.signatures) for value in result if hasattr(value, "signatures"))

    warm_up(ALL)
    before = n_compiled_signatures()
    models = fold(log(200), max_items=15, max_users=5, half_life=20.0)
    for name in ("i1", "i2"):
        models.learn_catalog(CatalogItem(ts=10**6, item_id=name, title="red shoe", price=5.0))
    for user in ("u1", "stranger", ""):
        context = models.context(user, ["i1", "i2"], [1.0, 2.0], 0, ("country:1",), 3.0, "shoe")
        for model, result in models.candidates(context, 10):
            model.score(context, result.items)
            for item, evidence in zip(result.items.tolist(), result.evidence.tolist(), strict=True):
                model.explain(context, item, evidence)
    models.restore(models.state())
    assert n_compiled_signatures() == before > 10


def test_the_first_view_of_a_user_is_one_of_new_users() -> None:
    models = fold(
        [interaction(0, "ann", "entry"), interaction(1, "ann", "next"), interaction(2, "bob", "entry")]
    )
    newcomer = models.context("cid", (), (), 0, (NEW_USERS,), 300.0)
    assert models.segments() == [NEW_USERS]
    [popularity] = [each for each in models.models if each.name == "popularity"]
    anonymous = newcomer._replace(user="")
    assert models.index.ids_of(popularity.candidates(anonymous, 5).items.tolist()) == ["entry"]
    # a purchase before tells nothing of what new users view
    models.learn(interaction(3, "dan", "bought", kind=Kind.PURCHASE))
    models.learn(interaction(4, "dan", "seen"))
    assert set(models.index.ids_of(popularity.candidates(anonymous, 5).items.tolist())) == {"entry", "seen"}


def test_the_list_of_new_users_changes_with_first_views() -> None:
    models = ModelSet(["popularity"])
    for offset, (user, kind, changes) in enumerate(
        [
            ("ann", Kind.VIEW, True),
            ("ann", Kind.VIEW, False),
            ("bob", Kind.PURCHASE, False),
            ("bob", Kind.CART, True),
            ("cid", Kind.LIKE, False),
        ]
    ):
        event = interaction(offset, user, "pan", kind=kind, segments=("country:FR",))
        models.learn(event)
        expected = {"country:FR", NEW_USERS} if changes else {"country:FR"}
        assert affected_segments(models, event) == expected
