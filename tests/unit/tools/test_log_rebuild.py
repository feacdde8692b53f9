"""A fold of the log that starts from a snapshot."""

from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from state.snapshots.encoding import encode_snapshot
from state.snapshots.store import folder_store
from stream_app.experiment.decay_record import DecayRecord
from stream_app.models.decay_clock import DecaySchedule
from stream_app.models.model_parts import fingerprint
from stream_app.ranking.assembly import make_models
from stream_app.settings import load_settings
from stream_app.tools import log_rebuild
from stream_app.tools.log_rebuild import Rebuild
from stream_app.worker.erased_since_snapshot import forget_erased_users
from stream_app.worker.model_loading import snapshot_state
from tests.support.log_in_memory import LogInMemory, LosingConsumer
from topics import admin
from topics.catalog import ERASURE_RECEIPTS
from topics.log_keys import one_way_hash
from topics.records import ErasureReceipt, Interaction, Kind, Line, Source

ANN, BOB = "ann-of-the-test", "bob-of-the-test"


@pytest.mark.parametrize("has_receipts", [True, False], ids=["receipts", "no topic of receipts yet"])
async def test_users_who_were_erased_since_the_kept_snapshot_are_not_in_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_receipts: bool
) -> None:
    settings = load_settings(models=["popularity", "session_knn", "search"])
    models = make_models(settings.ranking_config)
    for at, user in enumerate((ANN, BOB)):
        models.learn(Interaction(Source.CLICK, 2, at, 1_000.0, user, Kind.VIEW, (Line("shoe"),)))
    store = folder_store(tmp_path)
    own = fingerprint(models)
    store.save(snapshot_state(models, {}, {}), own)

    log = LogInMemory(ERASURE_RECEIPTS.name)
    receipt = ErasureReceipt(
        user_hash=one_way_hash(ANN).hex(),
        event_hash=one_way_hash("erase-ann").hex(),
        partition=2,
        offset=7,
        event_id="",
        requested_at="2026-01-01T00:00:00Z",
        erased_at="2026-01-01T00:00:00Z",
        completed_at="2026-01-02T00:00:00Z",
        removed={},
    )
    log.append(0, b"", msgspec.json.encode(receipt))

    def consumer(_broker: object) -> LosingConsumer:
        assert has_receipts, "a topic that does not exist is read"
        return LosingConsumer(log)

    def topic_ids(*_: Any) -> dict[str, str]:
        return {ERASURE_RECEIPTS.name: "id"} if has_receipts else {}

    monkeypatch.setattr(admin, "topic_ids", topic_ids)
    monkeypatch.setattr(log_rebuild, "forget_erased_users", partial(forget_erased_users, consumer=consumer))
    rebuild = Rebuild(settings, None, store)
    await rebuild.load(lambda _read, _total: None)
    written = encode_snapshot(store.load(rebuild.write(own)).state)
    assert (ANN.encode() in written) is not has_receipts
    assert BOB.encode() in written


@pytest.mark.parametrize("is_announced", [True, False], ids=["a record of workers", "none on control"])
async def test_a_new_snapshot_has_the_decay_that_workers_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_announced: bool
) -> None:
    settings = load_settings(models=["popularity"])
    models = make_models(settings.ranking_config)
    of_snapshot = DecaySchedule().with_period(100.0, 50.0, 4.0)
    models.decay_clocks["interactions"].schedule = of_snapshot
    models.learn(Interaction(Source.CLICK, 2, 0, 1_000.0, BOB, Kind.VIEW, (Line("shoe"),)))
    store = folder_store(tmp_path)
    own = fingerprint(models)
    store.save(snapshot_state(models, {}, {}), own)
    monkeypatch.setattr(admin, "topic_ids", lambda *_: {})
    newest = of_snapshot.with_period(2_000.0, 50.0, 4.0)
    record = DecayRecord(interactions=newest, rewards=DecaySchedule())
    rebuild = Rebuild(settings, None, store)
    rebuild.use_decay(record if is_announced else None)
    await rebuild.load(lambda _read, _total: None)
    written = make_models(settings.ranking_config)
    written.restore(store.load(rebuild.write(own)).state["models"])
    expected = newest if is_announced else of_snapshot
    assert written.decay_clocks["interactions"].schedule == expected
