"""Workers adopt the checkpoints that a trainer announces, or refuse them and keep the last one."""

import asyncio
import logging
import math
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from state.snapshots.files import StoreUnavailableError
from stream_app.models.checkpoint import Manifest, encode_checkpoint
from stream_app.neural_metrics import Refusal
from stream_app.worker.checkpoint_checks import LARGEST_FILE, CheckpointJudge, RefusedError
from stream_app.worker.checkpoint_follower import MODEL_KEY
from tests.support.checkpoint_harness import ITEMS, NOW, CheckpointHarness, until
from tests.support.two_tower_builders import context_of, random_weights
from topics.records import ModelAnnouncement


@pytest.fixture
async def harness(tmp_path: Path) -> CheckpointHarness:
    return CheckpointHarness(tmp_path)


def proposes(harness: CheckpointHarness, *history: str) -> list[str]:
    found = harness.model.candidates(context_of(harness.model, *history), 20)
    return harness.model.index.ids_of(found.items.tolist())


async def test_an_announced_checkpoint_is_adopted(harness: CheckpointHarness) -> None:
    assert math.isnan(harness.gauge("model_age_seconds"))
    with harness.loading():
        harness.announce(harness.write(3))
        await harness.settle()
    assert harness.model.version == "3"
    assert len(proposes(harness, "i1")) == 8
    assert harness.gauge("model_version") == 3
    assert harness.gauge("model_age_seconds") == 10.0
    assert harness.gauge("load_seconds_count") == 1


async def test_a_worker_that_never_got_a_model_says_for_how_long(harness: CheckpointHarness) -> None:
    assert harness.gauge("waiting_seconds") == 0
    harness.now += 1_900.0
    harness.follower.report()
    assert harness.gauge("waiting_seconds") == 1_900.0
    assert math.isnan(harness.gauge("model_age_seconds"))
    with harness.loading():
        harness.announce(harness.write(1))
        await harness.settle()
    assert harness.gauge("waiting_seconds") == 0


async def test_reasons_of_refusals_are_a_closed_set_that_begins_at_0(harness: CheckpointHarness) -> None:
    exposed = {
        sample.labels["reason"]: sample.value
        for family in harness.metrics.neural.refused.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    }
    assert exposed == {reason.value: 0.0 for reason in Refusal}


async def test_a_checkpoint_from_the_future_has_the_age_0(harness: CheckpointHarness) -> None:
    with harness.loading():
        harness.announce(harness.write(1, created_at=NOW + 100.0))
        await harness.settle()
    assert harness.gauge("model_age_seconds") == 0.0


async def test_a_version_is_adopted_at_its_place_in_the_log(harness: CheckpointHarness) -> None:
    await harness.log.move(10, 99)
    with harness.loading():
        harness.announce(harness.write(1, offsets=(50, 99)))
        await asyncio.wait_for(harness.log.is_awaited.wait(), 60)
        await harness.log.move(49, 100)
        assert math.isnan(harness.gauge("model_age_seconds"))
        # items come and go meanwhile
        harness.model.index.index("new", 1.0)
        await harness.log.move(50, 100)
        await harness.settle()
    assert harness.model.version == "1"


async def test_one_that_waits_for_its_place_is_adopted_there_though_newer_ones_are_announced(
    harness: CheckpointHarness,
) -> None:
    await harness.log.move(10, 10)
    with harness.loading():
        harness.announce(harness.write(1, offsets=(50,)))
        await asyncio.wait_for(harness.log.is_awaited.wait(), 60)
        harness.announce(harness.write(2, offsets=(90,)))
        await harness.log.move(50, 10)
        await harness.settle()
        assert harness.model.version == "1"
        await harness.log.move(90, 10)
        await harness.settle()
    assert harness.model.version == "2"


async def test_of_several_announcements_the_newest_is_loaded(harness: CheckpointHarness) -> None:
    for version in (1, 2, 3):
        harness.announce(harness.write(version))
    with harness.loading():
        await harness.settle()
        assert harness.model.version == "3"
    assert harness.files.reads == 1


async def test_a_store_that_is_unavailable_is_tried_again(
    harness: CheckpointHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.files.failure = StoreUnavailableError("s3://bucket does not answer")
    harness.announce(harness.write(1))
    with harness.loading():
        await until(lambda: harness.files.reads >= 4)
        harness.files.failure = None
        await harness.settle()
    assert harness.model.version == "1"
    assert harness.settled() == ("1", 0)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "s3://bucket does not answer" in warnings[0]


async def test_while_the_store_is_unavailable_a_newer_announcement_takes_the_place(
    harness: CheckpointHarness,
) -> None:
    harness.files.failure = StoreUnavailableError("s3://bucket does not answer")
    harness.announce(harness.write(1))
    with harness.loading():
        await until(lambda: harness.files.reads > 0)
        newer = harness.write(2)
        harness.announce(newer)
        harness.files.failure = None
        await until(lambda: harness.model.version == "2")


async def refused(harness: CheckpointHarness, announcement: ModelAnnouncement) -> str:
    """Why a checkpoint is refused; the one before stays."""
    with harness.loading():
        harness.announce(harness.write(5, hit_rate=0.4, offsets=(1, 1)))
        await harness.settle()
        before = proposes(harness, "i1")
        harness.announce(announcement)
        await harness.settle()
    assert harness.model.version == "5"
    assert harness.gauge("model_version") == 5
    assert proposes(harness, "i1") == before
    [reason] = [reason.value for reason in Refusal if harness.refused(reason.value)]
    return reason


def other_shape(harness: CheckpointHarness) -> ModelAnnouncement:
    weights = random_weights(["i1"])
    weights.parameters["scale"][...] = -1.0
    content = encode_checkpoint(weights, Manifest(version=6, created_at=NOW))
    return harness.store.write(6, content, created_at=NOW)


def damaged(harness: CheckpointHarness) -> ModelAnnouncement:
    announcement = harness.write(6)
    content = bytearray(harness.files.read(announcement.file))
    content[-5] ^= 1
    harness.files.write(announcement.file, bytes(content))
    return announcement


def removed(harness: CheckpointHarness) -> ModelAnnouncement:
    announcement = harness.write(6)
    harness.files.delete(announcement.file)
    return announcement


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (removed, "file"),
        (damaged, "file"),
        (lambda each: msgspec.structs.replace(each.write(7), version=6), "file"),
        (lambda each: msgspec.structs.replace(each.write(6), size=LARGEST_FILE + 1), "file"),
        (lambda each: msgspec.structs.replace(each.write(6), file="../../etc/passwd"), "file"),
        (lambda each: each.store.write(6, b"no tensors", created_at=NOW), "format"),
        (other_shape, "shape"),
        (lambda each: each.write(5), "version"),
        (lambda each: each.write(4), "version"),
        (lambda each: each.write(6, hit_rate=0.3), "quality"),
        (lambda each: each.write(6, offsets=(50, 101)), "offsets"),
        (lambda each: each.write(6, offsets=(50, 99, 1)), "offsets"),
    ],
)
async def test_what_must_not_be_adopted_is_refused(
    harness: CheckpointHarness,
    make: Callable[[CheckpointHarness], ModelAnnouncement],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert await refused(harness, make(harness)) == reason
    [line] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert f"({reason}), version 5 stays" in line
    assert line.endswith(".")


@pytest.mark.parametrize("value", [b"", b"{}", b"\xff", b"[" * 10_000, b'{"version": 0}'])
async def test_an_announcement_that_cannot_be_read_is_refused(
    harness: CheckpointHarness, value: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    harness.follower.apply_record(MODEL_KEY, value, 7)
    assert harness.refused("announcement") == 1
    assert "models[0]@7" in caplog.text


async def test_records_of_other_models_and_tombstones_are_ignored(harness: CheckpointHarness) -> None:
    harness.follower.apply_record(b"another", b"{}", 1)
    harness.follower.apply_record(None, b"{}", 2)
    harness.follower.apply_record(MODEL_KEY, None, 3)
    assert harness.settled() == ("", 0)


@pytest.mark.parametrize("hit_rate", [None, 0.33, 0.9])
async def test_a_hit_rate_near_the_last_ones_or_not_measured_is_accepted(
    harness: CheckpointHarness, hit_rate: float | None
) -> None:
    with harness.loading():
        for version, rate in ((1, 0.4), (2, hit_rate)):
            harness.announce(harness.write(version, hit_rate=rate))
            await harness.settle()
    assert harness.model.version == "2"


@pytest.mark.parametrize("n_choices", [60, 120, 512])
@pytest.mark.parametrize("rate", [0.05, 0.1, 0.4])
def test_chance_refuses_no_checkpoint_and_useless_weights_are_refused(n_choices: int, rate: float) -> None:
    rng = np.random.default_rng(n_choices)
    judge = CheckpointJudge()

    def manifest(version: int, true_rate: float) -> Manifest:
        measured = rng.binomial(n_choices, true_rate) / n_choices
        return Manifest(
            version=version, created_at=40.0 * version, hit_rate=measured, measured_choices=n_choices
        )

    for version in range(1, 1_000):
        adopted = manifest(version, rate)
        judge.check_manifest(adopted)
        judge.on_adopted(
            ModelAnnouncement(version=version, file="", size=0, digest="", created_at=0.0), adopted
        )
    useless = Manifest(version=1_000, created_at=40_000.0, hit_rate=0.0, measured_choices=n_choices)
    if rate * n_choices > 20:
        with pytest.raises(RefusedError, match="standard errors"):
            judge.check_manifest(useless)


async def test_a_shop_whose_hit_rate_fell_for_good_gets_new_weights_after_an_hour(
    harness: CheckpointHarness,
) -> None:
    with harness.loading():
        harness.announce(harness.write(1, hit_rate=0.4, created_at=NOW - 4_000.0))
        await harness.settle()
        harness.announce(harness.write(2, hit_rate=0.1, created_at=NOW - 3_000.0))
        await harness.settle()
        assert harness.refused("quality") == 1
        harness.announce(harness.write(3, hit_rate=0.1, created_at=NOW))
        await harness.settle()
    assert harness.model.version == "3"


async def test_a_clock_of_the_trainer_that_was_put_back_keeps_no_checkpoint_out(
    harness: CheckpointHarness,
) -> None:
    with harness.loading():
        harness.announce(harness.write(1, hit_rate=0.4, created_at=NOW + 86_400.0))
        await harness.settle()
        harness.announce(harness.write(2, hit_rate=0.1, created_at=NOW))
        await harness.settle()
    assert harness.model.version == "2"


async def test_an_end_of_the_log_that_is_too_low_for_a_moment_refuses_nothing(
    harness: CheckpointHarness,
) -> None:
    harness.log.ends = {0: 40, 1: 100}
    with harness.loading():
        harness.announce(harness.write(1, offsets=(50,)))
        await until(lambda: harness.log.n_end_reads > 0)
        harness.log.ends = {0: 60, 1: 100}
        await harness.settle()
    assert harness.model.version == "1"


async def test_a_worker_starts_without_a_model_that_is_not_loaded_in_time(
    harness: CheckpointHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    harness.files.failure = StoreUnavailableError("s3://bucket does not answer")
    harness.announce(harness.write(1))
    monkeypatch.setattr(harness.follower, "_ready_by", 0.0)
    with harness.loading():
        await asyncio.wait_for(harness.follower.wait_until_loaded(), 60)
        assert "starting without the two-tower model" in caplog.text
        assert harness.model.version == ""
        # later assignments do not wait again
        monkeypatch.setattr(harness.follower, "_ready_by", math.inf)
        await asyncio.wait_for(harness.follower.wait_until_loaded(), 60)


async def test_a_worker_waits_for_the_announced_checkpoint_and_not_without_one(
    harness: CheckpointHarness,
) -> None:
    with harness.loading():
        await asyncio.wait_for(harness.follower.wait_until_loaded(), 60)
    again = CheckpointHarness(Path(harness.files.location))
    again.announce(again.write(1))
    with again.loading():
        await asyncio.wait_for(again.follower.wait_until_loaded(), 60)
        assert again.model.version == "1"


async def test_weights_of_any_servable_size_are_adopted_after_each_other(harness: CheckpointHarness) -> None:
    with harness.loading():
        harness.announce(harness.write(1, items=[]))
        await harness.settle()
        assert proposes(harness, "i1") == []
        harness.announce(harness.write(2, items=[f"i{n}" for n in range(5_000)]))
        await harness.settle()
    assert set(proposes(harness, "i1")) <= set(ITEMS)
    assert "i1" in proposes(harness, "i1")
    assert np.isfinite(
        harness.model.score(context_of(harness.model, "i1"), np.arange(8, dtype=np.int32))
    ).all()
