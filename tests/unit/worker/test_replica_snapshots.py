"""Snapshots of the replica, and their restoration."""

from pathlib import Path
from typing import Any

import pytest

from stream_app.worker.replica import load_models
from tests.support.replica_harness import (
    FIRST_INTERACTIONS,
    FIRST_REWARDS,
    SECOND_INTERACTIONS,
    ReplicaHarness,
    caught_up,
    make_click,
)
from topics.catalog import CATALOG_ITEMS, INTERACTIONS, REWARDS
from topics.records import Source


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
    models, positions = load_models(harness.models, harness.store)
    assert models.version == 0
    assert positions == {}


async def test_an_incompatible_snapshot_is_ignored(
    harness: ReplicaHarness, caplog: pytest.LogCaptureFixture
) -> None:
    replica = await harness.start()
    replica.fold_local(make_click(0, 0, "shoe"))
    await replica.snapshot()
    models, positions = load_models(lambda: harness.models(half_life=1.0), harness.store)
    assert (models.version, positions) == (0, {})
    assert "half_life" in caplog.text
    assert "rebuilding models from the log" in caplog.text


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
    models, positions = load_models(harness.models, harness.store)
    assert (models.version, positions) == (0, {})
    # The models are usable.
    assert models.learn(make_click(0, 0, "shoe"))


def test_a_torn_snapshot_falls_back_to_the_previous_one(harness: ReplicaHarness, tmp_path: Path) -> None:
    models = harness.models()
    models.learn(make_click(0, 0, "shoe"))
    state = {"models": models.state(), "positions": [[INTERACTIONS.name, 0, 1]]}
    harness.store.save(state)
    torn = tmp_path / "models" / harness.store.save(state)
    torn.write_bytes(torn.read_bytes()[:-10])
    restored, positions = load_models(harness.models, harness.store)
    assert restored.version == 1
    assert positions == {(INTERACTIONS.name, 0): 1}


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
    assert load_models(harness.models, harness.store, {INTERACTIONS.name: "x"})[1]
    models, positions = load_models(harness.models, harness.store, {INTERACTIONS.name: "y"})
    assert models.version == 5
    assert {topic for topic, _ in positions} == {CATALOG_ITEMS.name, REWARDS.name}
