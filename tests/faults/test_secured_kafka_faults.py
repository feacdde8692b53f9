"""A running worker whose credentials or rights on Kafka end."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream_app.kafka.event_records import event_record
from stream_app.kafka.kafka_event_sender import KafkaEventSender
from stream_app.tools.environment.worker_pool import WorkerProcess
from tests.support.secured_broker import PASSWORD_PREFIX, password_of
from tests.support.secured_shop import SecuredShop, secured_shop
from tests.support.short_tokens import LIFE_SECONDS
from tests.support.worker_handle import WorkerHandle, wait_until
from topics.access import Resource, Right
from topics.catalog import INTERACTIONS
from topics.events import Click

pytestmark = pytest.mark.faults

LIGHT = {"models": ["popularity"], "fusion": "rrf", "policies": {"fixed": 1.0}, "log_level": "INFO"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredShop]:
    with secured_shop(tmp_path_factory.mktemp("secured")) as started:
        yield started


@pytest.fixture
def worker(shop: SecuredShop, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[WorkerHandle]:
    settings = {**shop.settings("worker", **LIGHT), **getattr(request, "param", {})}
    settings = {name: value for name, value in settings.items() if value is not None}
    handle = WorkerHandle(WorkerProcess(1, tmp_path, settings))
    try:
        yield handle.wait_until_ready()
    finally:
        if handle.alive:
            handle.kill()
        assert PASSWORD_PREFIX not in (tmp_path / "worker-1.log").read_text()


def send(shop: SecuredShop, count: int) -> None:
    """Send clicks of new users, by the connection without security."""
    sender = KafkaEventSender(shop.broker.address)
    try:
        for _ in range(count):
            now = time.time_ns()
            event = Click(event_id=f"{now}", user_id=f"user-{now}", ts=now // 1_000_000, item_id="i1")
            sender.send(event_record(event))
        sender.flush()
    finally:
        sender.close()


def accepts(shop: SecuredShop, worker: WorkerHandle, count: int = 5) -> None:
    """Send clicks, and wait until the worker has accepted all."""
    before = worker.events("accepted")
    send(shop, count)
    worker.wait_until(lambda: worker.events("accepted") >= before + count, f"{count} clicks to be accepted")


def test_a_worker_with_an_outdated_password_goes_on_once_it_is_valid_again(
    shop: SecuredShop, worker: WorkerHandle
) -> None:
    accepts(shop, worker)
    shop.broker.set_passwords({"worker": "another"})
    # Connections that exist stay: the password is asked for at a new one.
    accepts(shop, worker)
    shop.broker.restart()
    worker.wait_until(
        lambda: worker.has_logged("SaslAuthenticationFailed") or worker.has_logged("Authentication failed"),
        "a connection to be refused",
    )
    shop.broker.set_passwords({"worker": password_of("worker")})
    accepts(shop, worker)


@pytest.mark.parametrize(
    "worker",
    [
        {
            "kafka_sasl_mechanism": "OAUTHBEARER",
            "kafka_sasl_username": None,
            "kafka_sasl_password_file": None,
            "kafka_sasl_oauthbearer_token_provider": "tests.support.short_tokens:token",
        }
    ],
    indirect=True,
)
def test_a_worker_goes_on_when_its_tokens_end(shop: SecuredShop, worker: WorkerHandle) -> None:
    started = time.monotonic()
    while time.monotonic() - started < 3 * LIFE_SECONDS:
        accepts(shop, worker)


@pytest.mark.parametrize(
    "right",
    [Right("WRITE", Resource.TOPIC, INTERACTIONS.name), Right("READ", Resource.GROUP, "shop")],
    ids=lambda right: right.argument,
)
def test_a_worker_that_loses_a_right_ends_and_says_so(
    shop: SecuredShop, worker: WorkerHandle, right: Right
) -> None:
    accepts(shop, worker)
    shop.broker.revoke("worker", right)
    try:
        send(shop, 5)
        wait_until(lambda: not worker.alive, f"the worker to end without {right.argument}", seconds=120)
        assert worker.has_logged("denies this client a right on a")
        again = shop.run("worker", "worker", **LIGHT)
        assert again.status == 1
        assert right.argument in again.text
        assert again.text.count("\n") == 1
    finally:
        shop.broker.grant("worker", [right])
