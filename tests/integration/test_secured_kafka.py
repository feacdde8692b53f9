"""Headrace on a Kafka with TLS, SASL, client certificates and ACLs, with the least rights."""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from aiokafka.structs import TopicPartition

from stream_app.client import Client
from stream_app.client.impression_reporter import ImpressionReporter
from stream_app.client.redis_contract import user_key
from stream_app.errors import UserError
from stream_app.kafka.event_records import event_record
from stream_app.kafka.kafka_event_sender import KafkaEventSender
from stream_app.kafka.log_consumer import log_ends
from stream_app.kafka.topic_reader import TopicReader
from stream_app.settings import load_settings
from stream_app.tools.environment.worker_pool import WorkerProcess
from tests.support.secured_broker import PASSWORD_PREFIX, password_of, token_of
from tests.support.secured_shop import APP_ID, DEAD_SERVER, PARTITIONS, SecuredShop, run_command, secured_shop
from tests.support.trainer_handle import InteractionLog, TrainerHandle
from tests.support.worker_handle import WorkerHandle, wait_until
from topics import admin
from topics.access import Program, Resource, Right, rights_of
from topics.access_checks import missing_rights
from topics.broker_client import BrokerUnavailableError
from topics.catalog import CLICKS, IMPRESSIONS, INTERACTIONS, catalog
from topics.events import Click
from topics.kafka_connection import KafkaConnection, KafkaSecurity, SaslMechanism, SecurityProtocol
from topics.secret import Secret

REFUSAL_SECONDS = 60.0
"""Until a refused connection is reported, on a busy machine."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredShop]:
    with secured_shop(tmp_path_factory.mktemp("secured")) as started:
        yield started


def click(user: str, item: str) -> Click:
    now = time.time_ns()
    return Click(event_id=f"{now}", user_id=user, ts=now // 1_000_000, item_id=item)


CONNECTIONS: dict[str, Callable[[SecuredShop], KafkaConnection]] = {
    "SCRAM-SHA-512": lambda shop: shop.connection("worker"),
    "SCRAM-SHA-256": lambda shop: shop.connection("worker", mechanism=SaslMechanism.SCRAM_SHA_256),
    "PLAIN": lambda shop: shop.connection("worker", mechanism=SaslMechanism.PLAIN),
    "OAUTHBEARER": lambda shop: shop.connection(
        "",
        mechanism=SaslMechanism.OAUTHBEARER,
        password=Secret(""),
        token_provider=lambda: token_of("worker"),
    ),
    "SASL_PLAINTEXT": lambda shop: KafkaConnection(
        servers=shop.broker.endpoint("SASLPLAIN"),
        security=KafkaSecurity(
            protocol=SecurityProtocol.SASL_PLAINTEXT,
            mechanism=SaslMechanism.SCRAM_SHA_256,
            username="worker",
            password=Secret(password_of("worker")),
        ),
    ),
    "mutual TLS": lambda shop: KafkaConnection(
        servers=shop.broker.endpoint("MUTUAL"),
        security=KafkaSecurity(
            protocol=SecurityProtocol.SSL,
            ca_location=str(shop.broker.authority.path),
            certificate_location=str(shop.broker.certificate[0]),
            key_location=str(shop.broker.certificate[1]),
        ),
    ),
}


@pytest.mark.parametrize("name", CONNECTIONS)
def test_both_clients_connect_write_and_read(shop: SecuredShop, name: str) -> None:
    connection = CONNECTIONS[name](shop)
    sender = KafkaEventSender(connection)
    try:
        # The key that an event with a wrong one is forwarded to: a worker may write events.
        sender.send(event_record(click(f"user of {name}", "i1")))
        assert sender.flush() == 1
    finally:
        sender.close()
    with TopicReader(connection, CLICKS) as reader:
        assert f"user of {name}".encode() in {record.key for record in reader.read()}
    partitions = [(CLICKS.name, at) for at in range(PARTITIONS)]
    assert sum(asyncio.run(log_ends(connection, _partitions(partitions))).values()) > 0
    assert admin.check(catalog(APP_ID), connection) == []


def _partitions(found: list[tuple[str, int]]) -> list[TopicPartition]:
    return [TopicPartition(*each) for each in found]


def server(name: str) -> Callable[[SecuredShop], KafkaConnection]:
    """A connection of a worker to one listener."""
    return lambda shop: KafkaConnection(
        servers=shop.broker.endpoint(name), security=shop.connection("worker").security
    )


REFUSALS: dict[str, tuple[Callable[[SecuredShop], KafkaConnection], str]] = {
    "a wrong password": (
        lambda shop: shop.connection("worker", password=Secret(f"{PASSWORD_PREFIX}wrong")),
        "refuses the user 'worker' or its password by SCRAM-SHA-512. Check HEADRACE_KAFKA_SASL_USERNAME",
    ),
    "a wrong password of PLAIN": (
        lambda shop: shop.connection(
            "worker", mechanism=SaslMechanism.PLAIN, password=Secret(f"{PASSWORD_PREFIX}wrong")
        ),
        "refuses the user 'worker' or its password by PLAIN.",
    ),
    "an unknown user": (
        lambda shop: shop.connection("nobody-knows"),
        "refuses the user 'nobody-knows' or its password",
    ),
    "an expired token": (
        lambda shop: shop.connection(
            "", mechanism=SaslMechanism.OAUTHBEARER, token_provider=lambda: token_of("worker", -3_600.0)
        ),
        "refuses the token. Check that it has not expired",
    ),
    "a provider without a token": (
        lambda shop: shop.connection("", mechanism=SaslMechanism.OAUTHBEARER, token_provider=lambda: ""),
        "The token provider returned no token",
    ),
    "a provider that fails": (
        lambda shop: shop.connection(
            "", mechanism=SaslMechanism.OAUTHBEARER, token_provider=lambda: str(1 // 0)
        ),
        "The token provider failed (ZeroDivisionError).",
    ),
    "a wrong authority": (
        lambda shop: shop.connection("worker", ca_location=""),
        "is not trusted (unable to get local issuer certificate). Set HEADRACE_KAFKA_SSL_CA_LOCATION",
    ),
    "a wrong host name": (
        server("WRONGHOST"),
        "is for another host. Set HEADRACE_BROKER to a name in the certif",
    ),
    "an expired certificate": (server("EXPIRED"), "has expired. Renew it on the broker."),
    "no client certificate": (
        lambda shop: KafkaConnection(
            servers=shop.broker.endpoint("MUTUAL"),
            security=KafkaSecurity(
                protocol=SecurityProtocol.SSL, ca_location=str(shop.broker.authority.path)
            ),
        ),
        "asks for a client certificate. Set HEADRACE_KAFKA_SSL_CERTIFICATE_LOCATION",
    ),
    "a client certificate that has expired": (
        lambda shop: _with_certificate(shop, *shop.broker.authority.issue("late", days=-1)),
        "refuses the client certificate",
    ),
    "no TLS for a listener with TLS": (
        lambda shop: KafkaConnection(servers=shop.broker.endpoint("SASLTLS")),
        "Set HEADRACE_KAFKA_SECURITY_PROTOCOL to SSL if it uses TLS",
    ),
    "no SASL for a listener with SASL": (
        lambda shop: KafkaConnection(servers=shop.broker.endpoint("SASLPLAIN")),
        "asks for SASL. Set HEADRACE_KAFKA_SECURITY_PROTOCOL to SASL_PLAINTEXT",
    ),
    "TLS for a listener without": (
        server("SASLPLAIN"),
        "does not answer in TLS. Set HEADRACE_KAFKA_SECURITY_PROT",
    ),
}


def _with_certificate(shop: SecuredShop, certificate: Path, key: Path) -> KafkaConnection:
    return KafkaConnection(
        servers=shop.broker.endpoint("MUTUAL"),
        security=KafkaSecurity(
            protocol=SecurityProtocol.SSL,
            ca_location=str(shop.broker.authority.path),
            certificate_location=str(certificate),
            key_location=str(key),
        ),
    )


@pytest.mark.parametrize("fault", REFUSALS)
def test_a_refused_connection_is_one_sentence_with_the_cause(shop: SecuredShop, fault: str) -> None:
    make, expected = REFUSALS[fault]
    started = time.monotonic()
    with pytest.raises(BrokerUnavailableError) as raised:
        admin.list_names(make(shop))
    message = str(raised.value)
    assert expected in message
    assert "\n" not in message
    assert PASSWORD_PREFIX not in message
    assert time.monotonic() - started < REFUSAL_SECONDS


def test_a_command_and_a_worker_that_are_refused_end_with_that_sentence(shop: SecuredShop) -> None:
    (shop.folder / "wrong").write_text("wrong")
    for command in ("topics check", "worker", "dead-letters", "rebuild"):
        output = shop.run("operator", *command.split(), kafka_sasl_password_file=str(shop.folder / "wrong"))
        assert output.status == 1
        assert output.text.startswith("headrace: The broker at localhost:")
        assert "refuses the user 'operator' or its password" in output.text
        assert output.text.count("\n") == 1


@pytest.mark.parametrize(
    "right",
    [
        Right("READ", Resource.TOPIC, INTERACTIONS.name),
        Right("DESCRIBE_CONFIGS", Resource.TOPIC, CLICKS.name),
        Right("READ", Resource.GROUP, APP_ID),
        Right("WRITE", Resource.TRANSACTIONAL_ID, f"{APP_ID}-", is_prefix=True),
    ],
    ids=lambda right: right.argument,
)
def test_a_missing_right_is_named(shop: SecuredShop, right: Right) -> None:
    connection = shop.connection("worker")
    rights = rights_of(Program.WORKER, APP_ID)
    assert right in rights
    shop.broker.revoke("worker", right)
    try:
        wait_until(
            lambda: (
                missing_rights(rights, admin.describe(catalog(APP_ID), connection), connection) == [right]
            ),
            f"the right {right} to be missing",
            seconds=60,
        )
    finally:
        shop.broker.grant("worker", [right])
    wait_until(
        lambda: not missing_rights(rights, admin.describe(catalog(APP_ID), connection), connection),
        "all rights to be granted",
        seconds=60,
    )


def test_each_program_has_all_its_rights_and_no_right_of_another(shop: SecuredShop) -> None:
    states = {
        user: admin.describe(catalog(APP_ID), shop.connection(user)) for user in ("worker", "web", "stranger")
    }
    for user, program in (("worker", Program.WORKER), ("web", Program.WEB)):
        assert missing_rights(rights_of(program, APP_ID), states[user], shop.connection(user)) == []
    rights = rights_of(Program.WORKER, APP_ID)
    assert missing_rights(rights, states["stranger"], shop.connection("stranger")) == rights
    sender = KafkaEventSender(shop.connection("web"))
    try:
        with pytest.raises(UserError, match=r"denies this client a right on a topic.*events\.click.*doctor"):
            send_and_flush(sender)
    finally:
        sender.close()


def send_and_flush(sender: KafkaEventSender) -> None:
    sender.send(event_record(click("ann", "i1")))
    sender.flush()


def test_a_worker_and_all_commands_run_with_the_least_rights(shop: SecuredShop, tmp_path: Path) -> None:
    outputs = []
    settings = shop.settings(
        "worker", log_level="INFO", models=["popularity"], fusion="rrf", policies={"fixed": 1.0}
    )
    worker = WorkerHandle(WorkerProcess(1, tmp_path, settings))
    try:
        worker.wait_until_ready()
        sender = KafkaEventSender(shop.connection("shop"))
        for number in range(20):
            sender.send(event_record(click(f"user-{number % 4}", f"item-{number % 7}")))
        sender.flush()
        sender.close()
        worker.wait_until(lambda: worker.events("accepted") >= 20, "20 clicks to be processed")
        with Client(shop.redis.address) as client:
            worker.wait_until(
                lambda: client.read_key(user_key("user-1")) is not None, "a list to be published"
            )
            document = client.read_key(user_key("user-1"))
        with ImpressionReporter(shop.connection("web")) as reporter:
            assert reporter.report_impression("user-1", document)
        worker.wait_until(
            lambda: worker.metric("headrace_events_total", topic=IMPRESSIONS.name, outcome="accepted") >= 1,
            "an impression to be processed",
        )
        # Commands of an operator, beside the worker.
        for command, status in (
            ("topics check", 0),
            ("topics create", 0),
            ("dead-letters", 0),
            ("policies", 0),
            ("policies pause fixed", 0),
            ("policies resume fixed", 0),
            ("snapshots list", 0),
            ("show popular", 0),
            ("settings", 0),
            ("doctor --program operator", 0),
        ):
            output = shop.run("operator", *command.split(), data_dir=str(tmp_path / "worker-1"))
            outputs.append(output.text)
            assert output.status == status, f"{command}: {output.text}"
            assert "uthoriz" not in output.text, f"{command}: {output.text}"
        rebuilt = shop.run("operator", "rebuild", models=["popularity"], fusion="rrf", data_dir=str(tmp_path))
        outputs.append(rebuilt.text)
        assert "interactions; digest" in rebuilt.text
        assert not rebuilt.text.startswith("headrace:")
        doctor = shop.run("worker", "doctor", data_dir=str(tmp_path / "worker-1"))
        outputs.append(doctor.text)
        assert "FAIL" not in doctor.text
        assert f"all {len(rights_of(Program.WORKER, APP_ID))} rights of a worker are granted" in doctor.text
    finally:
        if worker.alive:
            worker.terminate()
    outputs.append((tmp_path / "worker-1.log").read_text())
    for text in outputs:
        assert PASSWORD_PREFIX not in text
    assert "Authenticated as worker via SCRAM-SHA-512" in outputs[-1]


def test_a_trainer_and_a_feed_of_the_shop_run_with_the_least_rights(
    shop: SecuredShop, tmp_path: Path
) -> None:
    row = '{"type": "click", "event_id": "e%s", "user_id": "ann", "ts": 1700000000000, "item_id": "shoe"}\n'
    file = tmp_path / "events.jsonl"
    file.write_text("".join(row % n for n in range(5)))
    clicks = [TopicPartition(CLICKS.name, at) for at in range(PARTITIONS)]
    n_before = sum(asyncio.run(log_ends(shop.broker.address, clicks)).values())
    replayed = shop.run("shop", "replay", str(file))
    assert replayed.status == 0, replayed.text
    assert sum(asyncio.run(log_ends(shop.broker.address, clicks)).values()) == n_before + 5

    settings, secured = load_settings(app_id=APP_ID), cast("dict[str, Any]", shop.settings("trainer"))
    InteractionLog(shop.broker.address).add_sessions(150)
    with TrainerHandle(settings, tmp_path, tmp_path / "trainer.log", **secured) as trainer:
        trainer.wait_until(lambda: trainer.has_logged("announced checkpoint"), "a checkpoint")
        assert trainer.terminate() == 0
    for text in (replayed.text, trainer.log_path.read_text()):
        assert PASSWORD_PREFIX not in text


def test_a_worker_without_a_right_ends_at_its_start_and_names_it(shop: SecuredShop) -> None:
    output = shop.run("web", "worker")
    assert output.status == 1
    assert output.text.startswith("headrace: Kafka denies this worker ")
    assert (
        "kafka-acls --add --allow-principal User:web`: --operation Read --topic events.click;" in output.text
    )
    assert output.text.count("\n") == 1


def test_commands_name_a_denied_topic(shop: SecuredShop) -> None:
    for command, topic in (("dead-letters", "dead-letters"), ("policies", "control")):
        output = shop.run("web", command)
        assert output.status == 1
        assert f"--operation Read --topic {topic}" in output.text
    created = shop.run("web", "topics", "create")
    assert created.status == 1
    assert "Could not create the topic " in created.text
    assert "kafka-acls --add --allow-principal User:NAME --operation Create --topic " in created.text
    listed = shop.run("stranger", "topics", "list")
    assert "denied" in listed.text
    assert "missing" not in listed.text
    check = shop.run("stranger", "topics", "check")
    assert "the broker does not tell this client of it" in check.text


def test_a_server_that_is_silent_in_the_handshake_is_no_broker() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        security = KafkaSecurity(protocol=SecurityProtocol.SSL)
        with pytest.raises(BrokerUnavailableError, match=f"No Kafka broker answers at {address}"):
            admin.list_names(KafkaConnection(servers=address, security=security))


def test_no_server_is_still_no_server() -> None:
    output = run_command({"broker": DEAD_SERVER}, "topics", "check")
    assert output == (
        1,
        "headrace: No Kafka broker answers at localhost:1. Start one, or set HEADRACE_BROKER.\n",
    )
    assert os.environ.get("HEADRACE_BROKER") != DEAD_SERVER
