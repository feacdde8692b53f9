"""The readers of every kind of record, as functions of bytes that raise nothing but what their callers expect."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from state.dedup import RecordId
from state.fold import fold
from state.row import RowFormatError, decode_row, encode_row
from state.snapshots.encoding import SnapshotError, decode_snapshot, encode_snapshot
from state.snapshots.model_store import Snapshot
from stream_app.client.fallback_chain import decode_list_or_none, first_usable_list
from stream_app.client.redis_contract import is_erased
from stream_app.client.search_order import PendingSearch
from stream_app.experiment.control import OPERATOR_KEY
from stream_app.experiment.decay_record import DECAY_KEY, DecayRecord
from stream_app.kafka.event_logs import EVENT_LOGS_KEY
from stream_app.models.decay_clock import DecaySchedule
from stream_app.ranking.assembly import make_models
from stream_app.settings import Settings
from stream_app.tools.dead_letter_selection import parse_dead_letter, preview, printable
from stream_app.worker.model_loading import load_models
from tests.fuzz.shop_records import START
from tests.support.in_memory_worker import InMemoryWorker
from topics.catalog import INTERACTIONS, REWARDS, SHOP_TOPICS
from topics.codec import Limits, RejectedError, decode
from topics.events import Click
from topics.records import (
    DeadLetter,
    Interaction,
    Kind,
    Line,
    ListedItem,
    PolicyAssignment,
    Reason,
    RecommendationList,
    Reward,
    RewardKind,
    Source,
)

Read = Callable[[bytes], None]


def build_decoders(folder: Path) -> dict[str, Read]:
    """The readers, by the name of what they read; they share one worker."""
    worker = InMemoryWorker(folder, fusion="learned", max_items=200, max_users=50)
    return {
        **{spec.name: _read_event(spec.payload) for spec in SHOP_TOPICS},
        "row of the changelog": _read_row,
        "interaction": _read_learned(worker, INTERACTIONS.name),
        "reward": _read_learned(worker, REWARDS.name),
        "reward of a recovery": _read_reward_of_recovery(worker),
        "list of a recovery": _read_list_of_recovery(worker),
        "control": _read_control(worker, OPERATOR_KEY),
        "event logs": _read_control(worker, EVENT_LOGS_KEY),
        "decay": _read_control(worker, DECAY_KEY),
        "dead letter": _read_dead_letter,
        "snapshot": _read_snapshot,
        "content of a snapshot": _read_snapshot_content(worker.settings),
        "document of Redis": _read_document,
    }


def examples() -> dict[str, list[bytes]]:
    """Valid bytes of what each reader reads, to start from."""
    click = Click(event_id="e", user_id="ann", ts=round(START * 1000), item_id="shoe")
    row = fold(decode_row(None), click, RecordId(Source.CLICK, 0, 5), 1800.0).row
    interaction = Interaction(
        Source.PURCHASE,
        0,
        7,
        START,
        "ann",
        Kind.PURCHASE,
        (Line("shoe", 2.0, 9.5),),
        ("country:FR",),
        "red",
        ("shoe", "hat"),
        (9.5, 3.0),
        "l",
    )
    reward = Reward(
        source=Source.CLICK, partition=0, offset=7, line=0, ts=START, user_id="ann", list_id="l", policy="thompson",
        kind=RewardKind.CLICK, item_id="shoe", position=1, propensity=0.5, value=1.0, delay=2.0, features=b"\0" * 8,
        seen=("hat", "shoe"), seen_positions=(0, 1), seen_propensities=(0.5, 0.5), seen_features=b"\0" * 16,
    )  # fmt: skip
    item = ListedItem("shoe", 0.5, 1.0, Reason("also_viewed", item_id="hat"))
    listed = RecommendationList(
        list_id="l", key="recs:user:{ann}", generated_at="2026-01-01T00:00:00.000Z", policy="fixed", model_version=1,
        items=(item,), features=b"\0" * 8,
    )  # fmt: skip
    search_list = msgspec.json.encode(listed)[:-1] + b',"query":"red"}'
    assignment = PolicyAssignment(
        weights={"fixed": 0.5, "thompson": 0.5}, paused=("linucb",), effective_time=START
    )
    schedule = DecaySchedule().with_period(START, 3_600.0, 4.0)
    decay = DecayRecord(interactions=schedule, rewards=schedule, stream="hit_rate", ts=START)
    letter = DeadLetter(
        reason="unreadable", detail="d", topic="events.click", partition=0, offset=1, timestamp=START, key=b"k",
        value=b"\xff",
    )  # fmt: skip
    state = {"models": {"version": 1}, "positions": [["interactions", 0, 5]], "topic_ids": {}}
    return {
        **{
            spec.name: [b'{"event_id":"e","user_id":"ann","ts":1700000000000,"item_id":"shoe"}']
            for spec in SHOP_TOPICS
        },
        "row of the changelog": [encode_row(row)],
        "interaction": [msgspec.msgpack.encode(interaction)],
        "reward": [msgspec.msgpack.encode(reward)],
        "reward of a recovery": [msgspec.msgpack.encode(reward)],
        "list of a recovery": [msgspec.json.encode(listed)],
        "control": [msgspec.json.encode(assignment)],
        "decay": [msgspec.json.encode(decay)],
        "event logs": [b'{"events.click":{"topic_id":"x","base":17179869184}}'],
        "dead letter": [msgspec.json.encode(letter)],
        "snapshot": [encode_snapshot(state)],
        "content of a snapshot": [msgspec.msgpack.encode(state)],
        "document of Redis": [
            msgspec.json.encode(listed),
            search_list,
            b'{"owner":"000000000007","items":[]}',
        ],
    }


def _read_event(struct: Any) -> Read:
    limits = Limits()

    def read(raw: bytes) -> None:
        with suppress(RejectedError):
            decode(raw, struct, received=START, limits=limits)

    return read


def _read_row(raw: bytes) -> None:
    with suppress(RowFormatError):
        encode_row(decode_row(raw))


def _message(raw: bytes, key: bytes = b"ann") -> Any:
    return SimpleNamespace(key=key, value=raw, partition=0, offset=0, timestamp=round(START * 1000))


def _read_learned(worker: InMemoryWorker, topic: str) -> Read:
    fold_batch = worker.replica._fold_batch[topic]
    models = worker.models

    def read(raw: bytes) -> None:
        # Watermarks would drop all records but the first.
        models.watermarks.clear()
        models.reward_watermarks.clear()
        fold_batch([_message(raw)])

    return read


def _read_reward_of_recovery(worker: InMemoryWorker) -> Read:
    recovery = worker.components.list_recovery

    def read(raw: bytes) -> None:
        outcomes_by_user: dict[str, Any] = {}
        recovery._apply_reward(_message(raw), outcomes_by_user)
        recovery._add_truncated(outcomes_by_user)

    return read


def _read_list_of_recovery(worker: InMemoryWorker) -> Read:
    recovery = worker.components.list_recovery

    def read(raw: bytes) -> None:
        recovery._restore_list(_message(raw), {})
        recovery._list_store.memory_bytes()

    return read


def _read_control(worker: InMemoryWorker, key: bytes) -> Read:
    policies = worker.components.policies

    def read(raw: bytes) -> None:
        policies.apply_record(key, raw, START, 0)
        policies.report()

    return read


def _read_dead_letter(raw: bytes) -> None:
    letter = parse_dead_letter(raw)
    if letter is not None:
        printable(letter.detail).encode()
        preview(letter.value).encode()
        preview(letter.key).encode()


def _read_snapshot(raw: bytes) -> None:
    with suppress(SnapshotError):
        decode_snapshot(raw)


class _StoreOfOne:
    """Holds one snapshot, in memory."""

    def __init__(self) -> None:
        self.raw = b""

    def save(self, state: Mapping[str, Any], fingerprint: str = "", *, new_series: bool = False) -> str:
        del fingerprint, new_series
        self.raw = encode_snapshot(state)
        return "fuzzed"

    def newest(self, fingerprint: str | None = None) -> Snapshot | None:
        if fingerprint is None:
            with suppress(SnapshotError):
                return Snapshot("fuzzed", decode_snapshot(self.raw))
        return None

    def keep(self, name: str) -> str | None:
        return name

    def remove_older_than(self, ts: float) -> list[str]:
        del ts
        return []


def _read_snapshot_content(settings: Settings) -> Read:
    """The content after the header, with a sound header: as a version of Headrace with a defect would write it."""
    store = _StoreOfOne()

    def read(raw: bytes) -> None:
        try:
            state = msgspec.msgpack.decode(raw)
        except (ValueError, RecursionError):
            return
        if isinstance(state, dict):
            with suppress(ValueError, TypeError, RecursionError):  # keys that no snapshot can have
                store.save(state)
                load_models(partial(make_models, settings.ranking_config), store)

    return read


def _read_document(raw: bytes) -> None:
    is_erased(raw)
    decode_list_or_none(raw)
    first_usable_list([raw, None, raw], exclude=("shoe",))
    PendingSearch("red", ("shoe", "hat"), START, 0.0).match(raw)
