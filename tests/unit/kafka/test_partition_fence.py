"""The fence of partitions, and the batches that it stamps or drops."""

import asyncio
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    CoordinatorNotAvailableError,
    InvalidProducerEpoch,
    KafkaConnectionError,
    KafkaError,
    TransactionalIdAuthorizationFailed,
)

from stream_app.kafka import partition_fence as partition_fence_module
from stream_app.kafka.batch_producer import BatchProducer
from stream_app.kafka.init_producer_id import UNKNOWN
from stream_app.kafka.partition_fence import MARKER_KEY, NotOwnedError, PartitionFence, is_marker

INVALID_PRODUCER_EPOCH = 47
FENCED, OTHER = "changelog", "dead_letters"
LAST_SEQUENCE = 2**31 - 1


class FakeCoordinator:
    """A transaction coordinator: each request for an id raises its epoch, unless a failure is due."""

    def __init__(self, failures: Iterable[KafkaError | int] = ()) -> None:
        self.failures = list(failures)
        self.epochs: dict[str, int] = {}
        self.before_answer: Callable[[], None] = lambda: None

    async def coordinator_lookup(self, _kind: object, _transactional_id: str) -> int:
        if self.failures and isinstance(self.failures[0], KafkaError):
            raise self.failures.pop(0)  # type: ignore[misc]  # an error, see above
        return 1

    async def ready(self, _node: int, group: object) -> bool:
        del group
        return True

    async def send(self, _node: int, request: Any, group: object) -> Any:
        del group
        if self.failures:
            return SimpleNamespace(error_code=self.failures.pop(0))
        transactional_id = request.transactional_id
        self.before_answer()
        if request.current not in {UNKNOWN, (7, self.epochs.get(transactional_id, -1))}:
            return SimpleNamespace(error_code=INVALID_PRODUCER_EPOCH)
        epoch = self.epochs[transactional_id] = self.epochs.get(transactional_id, -1) + 1
        return SimpleNamespace(error_code=0, producer_id=7, producer_epoch=epoch)


class StampedBatch:
    """A batch builder that keeps its records and its stamp."""

    def __init__(self) -> None:
        self.values: list[bytes | None] = []
        self.stamp: tuple[int, int, int] | None = None

    def append(self, *, timestamp: None, key: bytes | None, value: bytes | None) -> object:
        del timestamp, key
        self.values.append(value)
        return object()

    def close(self) -> None: ...

    def _set_producer_state(self, producer_id: int, epoch: int, sequence: int) -> None:
        self.stamp = (producer_id, epoch, sequence)


class SentBatches:
    """A producer that acknowledges each batch at once."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int, StampedBatch]] = []

    def create_batch(self) -> StampedBatch:
        return StampedBatch()

    async def send_batch(self, batch: StampedBatch, topic: str, *, partition: int) -> asyncio.Future[Any]:
        self.sent.append((topic, partition, batch))
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_result(SimpleNamespace(offset=0))
        return future

    @property
    def values(self) -> list[bytes | None]:
        return [value for _, _, batch in self.sent for value in batch.values]

    @property
    def stamps(self) -> list[tuple[int, int, int] | None]:
        return [batch.stamp for _, _, batch in self.sent]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_fence_module, "_RETRY_SECONDS", 0.0)


def make_fence(coordinator: FakeCoordinator | None = None) -> PartitionFence:
    client = coordinator or FakeCoordinator()
    return PartitionFence(lambda: client, "shop", [FENCED])


def make_producer(fence: PartitionFence) -> tuple[BatchProducer, SentBatches, list[int]]:
    sent, dropped = SentBatches(), list[int]()
    return BatchProducer(lambda: sent, 60.0, lambda *_: None, fence, dropped.append), sent, dropped


async def test_each_acquisition_has_a_higher_epoch_per_partition() -> None:
    coordinator = FakeCoordinator()
    fence = make_fence(coordinator)
    await fence.acquire([0, 1])
    await fence.acquire([1])
    assert coordinator.epochs == {"shop-0": 0, "shop-1": 1}
    assert fence.epoch(1) == (7, 1)
    assert not fence.owns(FENCED, 0)
    assert fence.owns(OTHER, 0)
    with pytest.raises(NotOwnedError, match="partition 0"):
        fence.epoch(0)


@pytest.mark.parametrize(
    "failures",
    [
        [KafkaConnectionError("gone"), CoordinatorNotAvailableError()],
        [14, 15, 16, 51],
        [TimeoutError()],
    ],
)
async def test_transient_failures_are_tried_again(failures: list[Any]) -> None:
    coordinator = FakeCoordinator(each for each in failures if not isinstance(each, TimeoutError))
    if isinstance(failures[0], TimeoutError):
        answers, answer = iter([False, True]), coordinator.ready

        async def ready(_node: int, group: object) -> bool:
            if not next(answers):
                raise TimeoutError
            return await answer(_node, group)

        coordinator.ready = ready  # type: ignore[method-assign]  # the first request times out
    fence = make_fence(coordinator)
    await fence.acquire([0])
    assert fence.epoch(0) == (7, 0)
    assert coordinator.failures == []


@pytest.mark.parametrize("failure", [53, TransactionalIdAuthorizationFailed()])
async def test_a_refusal_names_the_transactional_id(failure: KafkaError | int) -> None:
    fence = make_fence(FakeCoordinator([failure]))
    with pytest.raises(TransactionalIdAuthorizationFailed, match="shop-3"):
        await fence.acquire([3])
    assert not fence.owns(FENCED, 3)


async def test_a_revocation_during_the_request_leaves_nothing_owned() -> None:
    coordinator = FakeCoordinator()
    fence = make_fence(coordinator)
    coordinator.before_answer = fence.release
    with pytest.raises(NotOwnedError, match="revoked"):
        await fence.acquire([0])
    assert not fence.owns(FENCED, 0)


async def test_no_epoch_is_requested_after_a_revocation() -> None:
    coordinator = FakeCoordinator([KafkaConnectionError("gone")])
    fence = make_fence(coordinator)
    acquiring = asyncio.ensure_future(fence.acquire([0]))
    async with asyncio.timeout(5):
        while coordinator.failures:  # noqa: ASYNC110  # the fake signals nothing
            await asyncio.sleep(0)
    fence.release()
    with pytest.raises(NotOwnedError):
        await acquiring
    assert coordinator.epochs == {}


async def test_batches_have_consecutive_sequence_numbers_per_log() -> None:
    fence = make_fence()
    await fence.acquire([0, 1])
    producer, sent, _ = make_producer(fence)
    for n_records in (3, 2):
        for partition in (0, 1):
            for _ in range(n_records + partition):
                producer.append(FENCED, partition, b"k", b"v")
        producer.append(OTHER, 0, b"k", b"v")
        await producer.flush()
    stamps = {(topic, at): [] for topic, at, _ in sent.sent}  # type: dict[tuple[str, int], list[Any]]
    for topic, at, batch in sent.sent:
        stamps[topic, at].append(batch.stamp)
    assert stamps == {
        (FENCED, 0): [(7, 0, 0), (7, 0, 3)],
        (FENCED, 1): [(7, 0, 0), (7, 0, 4)],
        (OTHER, 0): [None, None],
    }


async def test_sequence_numbers_wrap_around_as_those_of_kafka() -> None:
    fence = make_fence()
    await fence.acquire([0])
    first, second, third = StampedBatch(), StampedBatch(), StampedBatch()
    fence.stamp(first, FENCED, 0, LAST_SEQUENCE)
    fence.stamp(second, FENCED, 0, 3)
    fence.stamp(third, FENCED, 0, 1)
    assert [first.stamp, second.stamp, third.stamp] == [(7, 0, 0), (7, 0, LAST_SEQUENCE), (7, 0, 2)]


async def test_a_new_epoch_begins_with_sequence_number_0() -> None:
    fence = make_fence()
    producer, sent, _ = make_producer(fence)
    for _ in range(2):
        await fence.acquire([0])
        producer.append(FENCED, 0, b"k", b"v")
        await producer.flush()
    assert sent.stamps == [(7, 0, 0), (7, 1, 0)]


async def test_a_renewal_goes_on_with_a_new_epoch_and_keeps_open_batches() -> None:
    fence = make_fence()
    await fence.acquire([0])
    producer, sent, dropped = make_producer(fence)
    producer.append(FENCED, 0, b"k", b"1")
    await producer.flush()
    producer.append(FENCED, 0, b"k", b"2")
    await fence.renew()
    await producer.flush()
    assert (sent.values, sent.stamps, dropped) == ([b"1", b"2"], [(7, 0, 0), (7, 1, 0)], [])


async def test_a_marker_is_not_dropped_with_a_batch_of_the_ownership_before() -> None:
    """The linger may be longer than a rebalance: the log would not be fenced, and the recovery find no end of it."""
    fence = make_fence()
    await fence.acquire([0])
    producer, sent, dropped = make_producer(fence)
    producer.append(FENCED, 0, b"k", b"before")
    await fence.acquire([0])
    markers: list[int] = []
    producer.append(FENCED, 0, MARKER_KEY, None, markers.append)
    await producer.flush()
    assert (sent.values, dropped, markers) == ([None], [1], [0])


async def test_a_renewal_after_a_revocation_owns_nothing() -> None:
    coordinator = FakeCoordinator()
    fence = make_fence(coordinator)
    await fence.acquire([0])
    coordinator.before_answer = fence.release
    with pytest.raises(NotOwnedError):
        await fence.renew()
    assert not fence.owns(FENCED, 0)


async def test_a_former_owner_cannot_renew_its_epoch() -> None:
    coordinator = FakeCoordinator()
    former, owner = make_fence(coordinator), make_fence(coordinator)
    await former.acquire([0])
    await owner.acquire([0])
    with pytest.raises(InvalidProducerEpoch, match="shop-0"):
        await former.renew()
    assert former.epoch(0) == (7, 0)
    await owner.renew()
    assert owner.epoch(0) == (7, 2)


async def test_records_of_partitions_that_are_not_owned_are_dropped_and_counted() -> None:
    fence = make_fence()
    await fence.acquire([0])
    producer, sent, dropped = make_producer(fence)
    producer.append(FENCED, 1, b"k", b"lost")
    producer.append(FENCED, 0, b"k", b"kept")
    producer.append(OTHER, 1, b"k", b"not fenced")
    await producer.flush()
    assert sent.values == [b"kept", b"not fenced"]
    assert sum(dropped) == 1
    assert producer.take_dropped_logs() == {(FENCED, 1)}
    assert producer.take_dropped_logs() == set()


@pytest.mark.parametrize("is_acquired_again", [False, True])
async def test_a_batch_of_an_earlier_ownership_is_never_sent(*, is_acquired_again: bool) -> None:
    fence = make_fence()
    await fence.acquire([0])
    producer, sent, dropped = make_producer(fence)
    for _ in range(3):
        producer.append(FENCED, 0, b"k", b"old")
    producer.append(OTHER, 0, b"k", b"not fenced")
    fence.release()
    if is_acquired_again:
        await fence.acquire([0])
    await producer.flush()
    assert sent.values == [b"not fenced"]
    assert sum(dropped) == 3
    assert producer.take_dropped_logs() == {(FENCED, 0)}


def test_a_marker_is_a_record_without_key_and_value() -> None:
    assert is_marker(SimpleNamespace(key=MARKER_KEY, value=None))
    assert not is_marker(SimpleNamespace(key=b"ann", value=None))
    assert not is_marker(SimpleNamespace(key=MARKER_KEY, value=b"row"))
