"""Snapshots of the replica, and their restoration."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka.structs import TopicPartition

from state.snapshots.encoding import encode_snapshot
from stream_app.models.decay_clock import DecaySchedule
from stream_app.models.digest import digest
from stream_app.models.model_set import ModelSet
from stream_app.ranking.assembly import make_models
from stream_app.ranking.config import ModelsConfig, RankingConfig
from stream_app.ranking.fusion.learned import LearnedFusion
from stream_app.worker.log_fold import fold_ranges
from stream_app.worker.model_loading import load_models
from tests.support.replica_harness import (
    FIRST_INTERACTIONS,
    FIRST_REWARDS,
    SECOND_INTERACTIONS,
    ReplicaHarness,
    caught_up,
    make_click,
)
from topics.catalog import CATALOG_ITEMS, INTERACTIONS, REWARDS
from topics.records import Interaction, Source


async def test_a_snapshot_plus_the_log_tail_gives_the_same_models(harness: ReplicaHarness) -> None:
    for offset in range(40):
        harness.log.interaction(FIRST_INTERACTIONS, offset, f"i{offset % 7}")
        harness.log.interaction(SECOND_INTERACTIONS, offset, f"i{offset % 5}")
    first = await harness.start()
    await caught_up(first)
    assert (await first.snapshot()).startswith("models-")
    for offset in range(40, 60):
        harness.log.interaction(FIRST_INTERACTIONS, offset, f"i{offset % 3}")
    await caught_up(first)
    await first.stop()

    second = await harness.start()
    await caught_up(second)
    assert harness.consumer.read == [(FIRST_INTERACTIONS, offset) for offset in range(40, 60)]
    assert second.models.version == first.models.version == 100
    assert second.models.digest() == first.models.digest() == harness.digest_of_the_log()
    assert harness.count("snapshot_seconds_count") == 1


async def test_a_snapshot_shares_no_memory_with_later_learning(harness: ReplicaHarness) -> None:
    replica = await harness.start()
    replica.fold_local(make_click(0, 0, "shoe"))
    state = replica.snapshot_state()
    for offset in range(1, 50):
        replica.fold_local(make_click(0, offset, f"i{offset}"))
    restored = harness.models()
    restored.restore(state["models"])
    assert restored.version == 1
    learned_once = harness.models()
    learned_once.learn(make_click(0, 0, "shoe"))
    assert restored.digest() == learned_once.digest()


def test_without_a_snapshot_models_start_empty(harness: ReplicaHarness) -> None:
    loaded = load_models(harness.models, harness.store)
    assert loaded.models.version == 0
    assert loaded.positions == {}


async def test_a_snapshot_with_too_many_items_is_kept_and_the_log_is_read_from_its_start(
    harness: ReplicaHarness, caplog: pytest.LogCaptureFixture
) -> None:
    replica = await harness.start()
    replica.fold_local(make_click(0, 0, "shoe"))
    replica.fold_local(make_click(0, 1, "sock"))
    name = await replica.snapshot()
    loaded = load_models(lambda: ModelSet(["popularity"], max_items=1), harness.store)
    assert (loaded.models.version, loaded.positions) == (0, {})
    assert "the index holds 1 items, the state has 2" in caplog.text
    assert "rebuilding models from the log" in caplog.text
    assert name.replace(".snapshot", ".kept") in {entry.name for entry in harness.store.entries()}


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"positions": []},
        {"positions": 7, "models": {}},
        {"positions": [["interactions", 0]], "models": {}},
        {"positions": [["interactions", "x", 0]], "models": {}},
        {"positions": [], "models": {}},
        {"positions": [], "models": {"format": 99}},
    ],
)
def test_a_malformed_snapshot_is_ignored(harness: ReplicaHarness, state: dict[str, Any]) -> None:
    harness.store.save(state)
    loaded = load_models(harness.models, harness.store)
    assert (loaded.models.version, loaded.positions) == (0, {})
    # The models are usable.
    assert loaded.models.learn(make_click(0, 0, "shoe"))


def test_a_torn_snapshot_falls_back_to_the_previous_one(harness: ReplicaHarness, tmp_path: Path) -> None:
    models = harness.models()
    models.learn(make_click(0, 0, "shoe"))
    state = {"models": models.state(), "positions": [[INTERACTIONS.name, 0, 1]], "topic_ids": {}}
    harness.store.save(state)
    torn = tmp_path / "models" / harness.store.save(state)
    torn.write_bytes(torn.read_bytes()[:-10])
    loaded = load_models(harness.models, harness.store)
    assert loaded.models.version == 1
    assert loaded.positions == {(INTERACTIONS.name, 0): 1}


async def test_a_snapshot_records_which_rewards_it_contains(harness: ReplicaHarness) -> None:
    harness.log.reward(FIRST_REWARDS, 0)
    first = await harness.start()
    await caught_up(first)
    # Folded, and not yet acknowledged when the snapshot is taken.
    first.set_owned_partitions({0})
    first.fold_local_reward(harness.log.reward(FIRST_REWARDS, 1))
    await first.snapshot()
    await first.stop()
    harness.log.reward(FIRST_REWARDS, 2)
    second = await harness.start()
    await caught_up(second)
    assert [read for read in harness.consumer.read if read[0] == FIRST_REWARDS] == [
        (FIRST_REWARDS, 1),
        (FIRST_REWARDS, 2),
    ]
    assert second.models.reward_watermarks == {(Source.CLICK, 0): (2, 0)}
    assert harness.count("rewards_dropped_total") == 1


async def test_a_log_made_anew_since_the_snapshot_is_read_from_its_start(harness: ReplicaHarness) -> None:
    for offset in range(5):
        harness.log.interaction(FIRST_INTERACTIONS, offset, "shoe")
    first = await harness.start()
    first.topic_ids = {INTERACTIONS.name: "x"}
    await caught_up(first)
    await first.snapshot()
    assert load_models(harness.models, harness.store, {INTERACTIONS.name: "x"}).positions
    loaded = load_models(harness.models, harness.store, {INTERACTIONS.name: "y"})
    assert loaded.models.version == 5
    assert {topic for topic, _ in loaded.positions} == {CATALOG_ITEMS.name, REWARDS.name}


def with_models(names: list[str], **parameters: Any) -> Callable[[], ModelSet]:
    """Makes models like those of the harness, with other names or hyperparameters of single models."""
    return lambda: ModelSet(names, max_items=100, max_users=100, overrides=parameters)


async def write_history(harness: ReplicaHarness, make: Callable[[], ModelSet]) -> None:
    """Clicks on two partitions, folded and stored by a replica with some settings."""
    for offset in range(40):
        harness.log.interaction(FIRST_INTERACTIONS, offset, f"i{offset % 7}")
        harness.log.interaction(SECOND_INTERACTIONS, offset, f"i{offset % 5}")
    replica = await harness.start(make)
    await caught_up(replica)
    await replica.snapshot()
    await replica.stop()


def cut_log(harness: ReplicaHarness, tp: TopicPartition, n: int) -> None:
    """Remove the first records of a partition, as retention does."""
    del harness.log.records[tp][:n]
    harness.log.beginnings[tp] += n


def candidates_of(models: ModelSet, name: str) -> list[tuple[str, float]]:
    """The candidates of one model after two recent items."""
    context = models.context("bob", ["i1", "i2"], [1_039.0, 1_040.0], 0, (), 1_040.0)
    [proposed] = [found for model, found in models.candidates(context, 10) if model.name == name]
    return [
        (models.index.id_of(int(item)), round(float(score), 4))
        for item, score in zip(proposed.items, proposed.scores, strict=True)
    ]


async def test_an_added_model_learns_the_log_and_the_others_keep_what_is_older(
    harness: ReplicaHarness, caplog: pytest.LogCaptureFixture
) -> None:
    await write_history(harness, with_models(["popularity"]))
    before = load_models(with_models(["popularity"]), harness.store).models.digest()
    cut_log(harness, FIRST_INTERACTIONS, 30)
    both = with_models(["popularity", "item_to_item", "session_knn"])
    replica = await harness.start(both)
    await caught_up(replica)
    assert "learning session_store, item_to_item from the log" in caplog.text
    # Popularity has the removed records too, the others what is left of the log.
    assert digest(replica.models.models[:1], replica.models.index.hashes, replica.models.newest) == before
    expected = both()
    for tp in (FIRST_INTERACTIONS, SECOND_INTERACTIONS):
        for record in harness.log.records[tp]:
            expected.learn(msgspec.msgpack.decode(record.value, type=Interaction))
    for name in ("item_to_item", "session_knn"):
        assert candidates_of(replica.models, name)
        assert sorted(candidates_of(replica.models, name)) == sorted(candidates_of(expected, name))
    # All learn what follows, once.
    harness.log.interaction(FIRST_INTERACTIONS, 40, "i1")
    await caught_up(replica)
    assert replica.models.version == 81


async def test_a_changed_hyperparameter_loses_its_own_model_alone(harness: ReplicaHarness) -> None:
    names = ["popularity", "item_to_item"]
    await write_history(harness, with_models(names))
    changed = with_models(names, item_to_item={"depth": 3})
    replica = await harness.start(changed)
    await caught_up(replica)
    expected = changed()
    for tp in (FIRST_INTERACTIONS, SECOND_INTERACTIONS):
        for record in harness.log.records[tp]:
            expected.learn(msgspec.msgpack.decode(record.value, type=Interaction))
    assert replica.models.digest() == expected.digest()
    assert sorted(candidates_of(replica.models, "item_to_item")) == sorted(
        candidates_of(expected, "item_to_item")
    )
    # The next start needs no log, and one with the old settings finds its snapshot.
    await replica.snapshot()
    for make in (changed, with_models(names)):
        loaded = load_models(make, harness.store)
        assert loaded.relearning is None
        assert loaded.models.version == 80


async def test_a_hyperparameter_of_the_scores_needs_no_learning(harness: ReplicaHarness) -> None:
    await write_history(harness, with_models(["session_knn", "two_hop"]))
    changed = with_models(["two_hop", "session_knn", "sequential_rules"], session_knn={"repeat": 1.0})
    loaded = load_models(changed, harness.store)
    assert loaded.relearning is None
    assert candidates_of(loaded.models, "sequential_rules")


async def test_no_snapshot_is_written_while_a_part_is_missing(harness: ReplicaHarness) -> None:
    await write_history(harness, with_models(["popularity"]))
    replica = harness.make(with_models(["popularity", "trending"]))
    n_before = len(harness.store.entries())
    await replica.try_snapshot()
    assert len(harness.store.entries()) == n_before


async def test_a_removed_model_is_kept_in_a_copy(harness: ReplicaHarness) -> None:
    await write_history(harness, with_models(["popularity", "item_to_item"]))
    loaded = load_models(with_models(["popularity"]), harness.store)
    assert loaded.relearning is None
    assert loaded.models.version == 80
    assert [entry.name.endswith(".kept") for entry in harness.store.entries()].count(True) == 1


async def test_records_on_their_way_to_the_log_are_learned_once_by_every_part(
    harness: ReplicaHarness,
) -> None:
    old, new = with_models(["popularity"]), with_models(["popularity", "item_to_item"])
    replica = await harness.start(old)
    await caught_up(replica)
    # Folded and not yet acknowledged when the snapshot is taken: its positions are behind its watermarks.
    replica.set_owned_partitions({0})
    for offset in range(5):
        replica.fold_local(make_click(0, offset, f"i{offset}"))
    await replica.snapshot()
    await replica.stop()
    for offset in range(8):
        harness.log.interaction(FIRST_INTERACTIONS, offset, f"i{offset}")
    second = await harness.start(new)
    await caught_up(second)
    expected = new()
    for record in harness.log.records[FIRST_INTERACTIONS]:
        expected.learn(msgspec.msgpack.decode(record.value, type=Interaction))
    assert second.models.version == 8
    assert second.models.digest() == expected.digest()


async def test_a_fusion_is_relearned_from_models_that_do_not_know_the_choice_yet(
    harness: ReplicaHarness,
) -> None:
    def make(*names: str) -> Callable[[], ModelSet]:
        config = ModelsConfig(names=["session_knn", *names], max_items=100, max_users=100)
        return partial(make_models, RankingConfig(models=config))

    def fusion_of(models: ModelSet) -> LearnedFusion:
        fusion = models.learner(LearnedFusion)
        assert fusion is not None
        return fusion

    for offset in range(60):
        harness.log.interaction(FIRST_INTERACTIONS, offset, f"i{offset * offset % 7}")
    first = await harness.start(make("popularity"))
    await caught_up(first)
    await first.snapshot()
    await first.stop()
    second = await harness.start(make("popularity", "user_knn"))
    await caught_up(second)
    expected = make("popularity", "user_knn")()
    for record in harness.log.records[FIRST_INTERACTIONS]:
        expected.learn(msgspec.msgpack.decode(record.value, type=Interaction))
    relearned, reference = fusion_of(second.models), fusion_of(expected)
    assert relearned.ranker.choices == reference.ranker.choices > 10
    weights = [encode_snapshot(each.ranker.state()) for each in (relearned, reference)]
    assert weights[0] == weights[1]


async def test_what_is_relearned_decays_by_the_schedule_of_the_snapshot(harness: ReplicaHarness) -> None:
    schedule = DecaySchedule().with_period(1_010.0, 20.0, 1_000.0)

    def with_schedule(make: Callable[[], ModelSet]) -> ModelSet:
        models = make()
        models.decay_clocks["interactions"].schedule = schedule
        return models

    first, both = with_models(["popularity"]), with_models(["popularity", "item_to_item"])
    await write_history(harness, partial(with_schedule, first))
    replica = await harness.start(both)
    await caught_up(replica)
    expected = with_schedule(both)
    for tp in (FIRST_INTERACTIONS, SECOND_INTERACTIONS):
        for record in harness.log.records[tp]:
            expected.learn(msgspec.msgpack.decode(record.value, type=Interaction))
    assert replica.models.decay_clocks["interactions"].schedule == schedule
    assert replica.models.digest() == expected.digest()
    assert replica.models.digest() != load_models(first, harness.store).models.digest()


@pytest.mark.parametrize("n_kept", [5, 0], ids=["some are left", "none is left"])
async def test_records_removed_while_parts_are_relearned_are_counted_once(
    harness: ReplicaHarness, monkeypatch: pytest.MonkeyPatch, n_kept: int
) -> None:
    await write_history(harness, with_models(["popularity"]))
    log, n_read = harness.log, len(harness.log.records[SECOND_INTERACTIONS])
    for offset in range(10):
        log.interaction(SECOND_INTERACTIONS, 1_000 + offset, "later")
    end = len(log.records[SECOND_INTERACTIONS])

    async def fold_after_retention(*arguments: Any) -> int:
        kept = end - n_kept
        log.records[SECOND_INTERACTIONS] = log.records[SECOND_INTERACTIONS][kept:]
        log.beginnings[SECOND_INTERACTIONS] = kept
        return await fold_ranges(*arguments)

    monkeypatch.setattr("stream_app.worker.relearning.fold_ranges", fold_after_retention)
    replica = await harness.start(with_models(["popularity", "trending"]))
    if not n_kept:
        # The log goes on: a consumer needs a record to see that the others are gone.
        log.interaction(SECOND_INTERACTIONS, 1_000 + 10, "last")
    await caught_up(replica)
    labels = {"topic": INTERACTIONS.name}
    skipped = harness.metrics.registry.get_sample_value("headrace_events_skipped_total", labels)
    # What the snapshot has read, and the new part lacks; the replica itself then misses the others.
    assert skipped == n_read + (10 - n_kept)
