"""The lease of a group member follows the acknowledged requests to its coordinator."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.protocol.group import HeartbeatRequest, LeaveGroupRequest, SyncGroupRequest

from stream_app.kafka.group_lease import GroupLease, boot_time

HEARTBEAT, SYNC = HeartbeatRequest("g", 1, "m"), SyncGroupRequest("g", 1, "m", None, [])
REBALANCE_IN_PROGRESS = 27


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeGroupCoordinator:
    """The client's group coordinator: each answer takes a second."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.error_code = 0
        self.requests: list[Any] = []

    async def _send_req(self, request: Any) -> Any:
        self.requests.append(request)
        self.clock.now += 1.0
        return SimpleNamespace(error_code=self.error_code)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def coordinator(clock: Clock) -> FakeGroupCoordinator:
    return FakeGroupCoordinator(clock)


@pytest.fixture
def lease(clock: Clock, coordinator: FakeGroupCoordinator) -> GroupLease:
    lease = GroupLease(10.0, clock)
    lease.follow(coordinator)
    return lease


def test_no_lease_is_held_before_the_first_assignment(lease: GroupLease) -> None:
    assert not lease.is_held()


@pytest.mark.parametrize("request_sent", [HEARTBEAT, SYNC])
async def test_the_lease_counts_from_the_sending_of_an_acknowledged_request(
    lease: GroupLease, clock: Clock, coordinator: FakeGroupCoordinator, request_sent: object
) -> None:
    await coordinator._send_req(request_sent)
    assert lease.is_held()
    clock.now = 109.9
    assert lease.is_held()
    clock.now = 110.0
    assert not lease.is_held()


@pytest.mark.parametrize(
    ("request_sent", "error_code"),
    [(HEARTBEAT, REBALANCE_IN_PROGRESS), (SYNC, REBALANCE_IN_PROGRESS), (LeaveGroupRequest("g", "m"), 0)],
)
async def test_other_answers_do_not_renew_the_lease(
    lease: GroupLease, coordinator: FakeGroupCoordinator, request_sent: object, error_code: int
) -> None:
    coordinator.error_code = error_code
    response = await coordinator._send_req(request_sent)
    assert response.error_code == error_code
    assert not lease.is_held()


def test_an_earlier_request_does_not_shorten_the_lease(lease: GroupLease, clock: Clock) -> None:
    lease.renew(99.0)
    lease.renew(95.0)
    clock.now = 108.0
    assert lease.is_held()


async def test_following_twice_counts_each_request_once(
    lease: GroupLease, coordinator: FakeGroupCoordinator
) -> None:
    lease.follow(coordinator)
    await coordinator._send_req(HEARTBEAT)
    assert coordinator.requests == [HEARTBEAT]
    assert lease.is_held()


def test_the_clock_does_not_go_backwards() -> None:
    assert boot_time() <= boot_time()
