"""The trainer on a real broker: what it announces, and that exactly one trains whatever happens to the others."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from state.snapshots.files import FolderFiles
from state.snapshots.store import SnapshotStore
from stream_app.models.item_content import ItemContent
from stream_app.settings import Settings
from stream_app.training.two_tower_training import TwoTowerTraining, user_key
from tests.support.trainer_handle import Checkpoints, InteractionLog, TrainerHandle

SESSIONS = 150
INTERACTIONS = SESSIONS * 6


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def log(settings: Settings) -> InteractionLog:
    return InteractionLog(settings.broker)


@pytest.fixture
def checkpoints(settings: Settings, store: Path) -> Checkpoints:
    return Checkpoints(settings.broker, store)


@pytest.fixture
def first(settings: Settings, store: Path, tmp_path: Path) -> Iterator[TrainerHandle]:
    with TrainerHandle(settings, store, tmp_path / "first.log") as trainer:
        yield trainer


def test_a_killed_trainer_goes_on_where_it_was(
    settings: Settings,
    store: Path,
    tmp_path: Path,
    log: InteractionLog,
    checkpoints: Checkpoints,
    first: TrainerHandle,
) -> None:
    users = log.add_sessions(SESSIONS)
    first.wait_until(lambda: checkpoints.has_learned(INTERACTIONS), "a checkpoint with all interactions")
    weights, manifest = checkpoints.newest() or pytest.fail("no checkpoint")
    assert sorted(weights.item_ids) == sorted(f"item {n}" for n in range(40))
    assert manifest.offsets == {**dict.fromkeys(manifest.offsets, 0), 0: INTERACTIONS}
    snapshots = SnapshotStore(FolderFiles(store / "trainer"))
    first.wait_until(
        lambda: (
            (newest := snapshots.newest()) is not None
            and ["interactions", 0, INTERACTIONS] in newest.state["positions"]
        ),
        "a snapshot",
    )
    first.kill()
    before = len(checkpoints.announcements())
    log.send_again(20)
    log.erase(users[0])
    log.add_sessions(10)
    with TrainerHandle(settings, store, tmp_path / "second.log") as second:
        second.wait_until(
            lambda: checkpoints.has_learned(INTERACTIONS + 60), "a checkpoint with what came later"
        )
        # the snapshot had the first ones: they were not learned again, and neither was what was sent twice
        assert second.metric("headrace_trainer_interactions_total") == 61
        assert second.metric("headrace_trainer_interactions_dropped_total") == 20
        newest = checkpoints.newest()
        assert newest is not None
        assert newest[1].interactions == INTERACTIONS + 60
        second.wait_until(
            lambda: (
                (found := snapshots.newest()) is not None
                and ["interactions", 0, INTERACTIONS + 81] in found.state["positions"]
            ),
            "a snapshot after the erasure",
        )
        stored = snapshots.newest()
        assert stored is not None
        parts = ("open", "newest", "reservoir", "returning")
        in_snapshot = {user for part in parts for user in stored.state["training"][part]["users"].tolist()}
        assert user_key(users[0]) not in in_snapshot
        assert user_key(users[1]) in in_snapshot
        assert second.terminate() == 0
    versions = [each.version for each in checkpoints.announcements()]
    assert len(versions) > before
    assert versions == sorted(set(versions))


def test_a_trainer_that_was_killed_between_two_sessions_knows_the_first_one(
    settings: Settings,
    store: Path,
    tmp_path: Path,
    log: InteractionLog,
    first: TrainerHandle,
) -> None:
    snapshots = SnapshotStore(FolderFiles(store / "trainer"))

    def has_stored(offset: int) -> bool:
        newest = snapshots.newest()
        return newest is not None and ["interactions", 0, offset] in newest.state["positions"]

    *users, _ = log.add_sessions(SESSIONS)  # the session of the last one is open
    first.wait_until(lambda: has_stored(INTERACTIONS), "a snapshot")
    first.kill()
    log.return_users(users[:30], "item 3")
    with TrainerHandle(settings, store, tmp_path / "second.log") as second:
        second.wait_until(lambda: has_stored(INTERACTIONS + 30), "a snapshot of the second")
        snapshot = snapshots.newest()
        assert snapshot is not None
        training = TwoTowerTraining(content=ItemContent())
        training.restore(snapshot.state["training"])
        for number, user in enumerate(users[:30]):
            # the last four items of the session before, half an hour ago or more, and the new one
            items = [*(f"item {(number * 7 + at) % 40}" for at in range(2, 6)), "item 3"]
            assert training.recent(user)[0] == items


def test_a_second_trainer_stands_by_and_takes_over(
    settings: Settings,
    store: Path,
    tmp_path: Path,
    log: InteractionLog,
    checkpoints: Checkpoints,
    first: TrainerHandle,
) -> None:
    log.add_sessions(SESSIONS)
    first.wait_until(lambda: checkpoints.has_learned(INTERACTIONS), "a checkpoint")
    with TrainerHandle(settings, store, tmp_path / "second.log") as second:
        second.wait_until_standing_by()
        # stopped for longer than its session: the second takes over
        first.suspend()
        second.wait_until_active()
        log.add_sessions(10)
        second.wait_until(lambda: checkpoints.has_learned(INTERACTIONS + 60), "a checkpoint of the second")
        first.resume()
        log.add_sessions(10)
        # the former one is refused; which of the two trains then is Kafka's choice
        second.wait_until(lambda: checkpoints.has_learned(INTERACTIONS + 120), "a later checkpoint")
        second.wait_until(
            lambda: (
                sorted(each.metric("headrace_trainer_active") or 0.0 for each in (first, second)) == [0, 1]
            ),
            "one of the two to train",
        )
        announced = checkpoints.announcements()
        versions = [each.version for each in announced]
        assert versions == sorted(set(versions))
        assert len({each.trainer for each in announced}) == 2
