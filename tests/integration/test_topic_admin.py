"""Topic administration and `headrace topics` against a real broker."""

import logging
import socket
import time
import uuid
from contextlib import closing

import kafka
import pytest
from typer.testing import CliRunner

from stream_app.__main__ import build_cli
from stream_app.errors import UserError
from stream_app.settings import load_settings
from topics import admin, broker_client, consumer_groups
from topics.catalog import (
    CATALOG_ITEMS,
    CLICKS,
    DEAD_LETTERS,
    INTERACTIONS,
    CleanupPolicy,
    TopicSpec,
    catalog,
)
from topics.topic_checks import Problem, ProblemKind

SPECS = catalog("shop")


def clicks(**changes: object) -> TopicSpec:
    fields = {name: getattr(CLICKS, name) for name in CLICKS.__struct_fields__}
    return TopicSpec(**{**fields, **changes})


def test_topics_are_created_once_and_pass_the_check(broker: str) -> None:
    created = admin.create(SPECS, broker, partitions=4, replication=1)
    assert created == [spec.name for spec in SPECS]
    assert admin.create(SPECS, broker, partitions=4, replication=1) == []
    assert admin.check(SPECS, broker) == []


def test_topics_are_described_as_created(broker: str) -> None:
    admin.create(SPECS, broker, partitions=4, replication=1)
    states = {state.spec.name: state for state in admin.describe(SPECS, broker)}
    assert states[DEAD_LETTERS.name].partitions == 1
    assert states[INTERACTIONS.name].partitions == 4
    assert states[INTERACTIONS.name].replication == 1
    assert states[CLICKS.name].config["message.timestamp.type"] == "LogAppendTime"
    assert states[CATALOG_ITEMS.name].config["cleanup.policy"] == "compact"
    assert states[CLICKS.name].operations >= {"READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"}


def test_only_missing_topics_are_created(broker: str) -> None:
    admin.create([CLICKS], broker, partitions=4, replication=1)
    assert admin.create([CLICKS, CATALOG_ITEMS], broker, partitions=4, replication=1) == [CATALOG_ITEMS.name]


def test_missing_topics_are_reported(broker: str) -> None:
    admin.create([CLICKS], broker, partitions=4, replication=1)
    assert admin.check([CLICKS, CATALOG_ITEMS], broker) == [Problem("catalog.items", ProblemKind.MISSING)]


def test_differing_partition_counts_are_reported(broker: str) -> None:
    specs = [spec for spec in SPECS if spec.copartitioned]
    admin.create(specs[1:], broker, partitions=4, replication=1)
    admin.create(specs[:1], broker, partitions=2, replication=1)
    assert admin.check(specs, broker) == [Problem("events.click", ProblemKind.PARTITIONS, "2", "4")]


def test_differing_topic_settings_are_reported(broker: str) -> None:
    misconfigured = clicks(cleanup=CleanupPolicy.COMPACT, config={"max.message.bytes": "1000"})
    admin.create([misconfigured], broker, partitions=4, replication=1)
    expected = clicks(config={**CLICKS.config, "max.message.bytes": "1048576"})
    assert admin.check([expected], broker) == [
        Problem("events.click", ProblemKind.CLEANUP_POLICY, "compact", "delete"),
        Problem("events.click", ProblemKind.TIMESTAMP_TYPE, "CreateTime", "LogAppendTime"),
        Problem("events.click", ProblemKind.MAX_MESSAGE_BYTES, "1000", "1048576"),
        Problem("events.click", ProblemKind.SEGMENT_MS, "604800000", "86400000"),
    ]


def test_deleted_topics_are_gone_and_can_be_recreated(broker: str) -> None:
    for partitions in (4, 2, 3):
        admin.create(SPECS, broker, partitions=partitions, replication=1)
        assert admin.describe([CLICKS], broker)[0].partitions == partitions
        assert set(admin.delete([spec.name for spec in SPECS], broker)) == {spec.name for spec in SPECS}
        assert [name for name in admin.list_names(broker) if not name.startswith("__")] == []
    assert admin.delete(["events.click"], broker) == []


def test_refused_topic_error_gives_the_reason(broker: str) -> None:
    with pytest.raises(
        broker_client.TopicAdminError, match=r"Could not create the topic events\.click: .*[Rr]eplication"
    ):
        admin.create([CLICKS], broker, partitions=4, replication=3)


def test_unavailable_broker_is_reported_quickly_without_logs(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as closed_socket:
        closed_socket.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed_socket.getsockname()[1]}"
        started = time.monotonic()
        with caplog.at_level(logging.DEBUG), pytest.raises(broker_client.BrokerUnavailableError) as caught:
            admin.list_names(address)
    assert time.monotonic() - started < 5
    assert str(caught.value) == f"No Kafka broker answers at {address}. Start one, or set HEADRACE_BROKER."
    assert not [record for record in caplog.records if record.name.startswith("kafka")]


def test_silent_server_is_reported_within_five_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as silent_socket:
        silent_socket.bind(("127.0.0.1", 0))
        silent_socket.listen()
        started = time.monotonic()
        with pytest.raises(broker_client.BrokerUnavailableError):
            admin.list_names(f"127.0.0.1:{silent_socket.getsockname()[1]}")
    assert time.monotonic() - started < 5
    assert not caplog.records


@pytest.mark.parametrize("address", ["nowhere", "nowhere:port", "nowhere.invalid:9092", ""])
def test_invalid_address_is_an_unavailable_broker(address: str) -> None:
    with pytest.raises(broker_client.BrokerUnavailableError):
        admin.list_names(address)


def committed(broker: str, group: str) -> dict[tuple[str, int], int]:
    with closing(kafka.KafkaAdminClient(bootstrap_servers=broker)) as client:
        found = client.list_group_offsets([group])[group]
    return {(tp.topic, tp.partition): committed_offset.offset for tp, committed_offset in found.items()}


def test_group_can_start_at_latest_and_be_deleted(broker: str) -> None:
    admin.create([CLICKS, CATALOG_ITEMS], broker, partitions=2, replication=1)
    with closing(kafka.KafkaProducer(bootstrap_servers=broker)) as producer:
        for partition in (0, 1, 1, 1):
            producer.send(CLICKS.name, b"{}", partition=partition).get(timeout=120)
    group = f"late-{uuid.uuid4().hex}"
    consumer_groups.seek_group_to_end(group, [CLICKS, CATALOG_ITEMS], broker)
    assert committed(broker, group) == {
        (CLICKS.name, 0): 1,
        (CLICKS.name, 1): 3,
        (CATALOG_ITEMS.name, 0): 0,
        (CATALOG_ITEMS.name, 1): 0,
    }
    consumer_groups.delete_group(group, broker)
    assert committed(broker, group) == {}
    consumer_groups.delete_group(group, broker)  # deleting a missing group succeeds


class TestTopicsCommand:
    """`headrace topics` on the command line."""

    @pytest.fixture(autouse=True)
    def environment(self, broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HEADRACE_BROKER", broker)
        monkeypatch.setenv("HEADRACE_PARTITIONS", "3")

    def test_create_prints_created_topics(self) -> None:
        first = CliRunner().invoke(build_cli(), ["topics", "create"])
        assert first.exit_code == 0
        assert "created events.click\n" in first.output
        assert f"{len(SPECS)} created, 0 existed already\n" in first.output
        second = CliRunner().invoke(build_cli(), ["topics", "create"])
        assert second.output == f"0 created, {len(SPECS)} existed already\n"

    def test_check_fails_with_a_remedy_until_topics_exist(self) -> None:
        before = CliRunner().invoke(build_cli(), ["topics", "check"])
        assert before.exit_code == 1
        assert "events.click is missing -> headrace topics create\n" in before.output
        CliRunner().invoke(build_cli(), ["topics", "create"])
        after = CliRunner().invoke(build_cli(), ["topics", "check"])
        assert after.exit_code == 0
        assert after.output == f"all {len(SPECS)} topics match the catalog\n"

    def test_create_reports_mismatched_partition_counts(self) -> None:
        CliRunner().invoke(build_cli(), ["topics", "create"])
        admin.delete(["events.click"], load_settings().broker)
        result = CliRunner().invoke(build_cli(), ["topics", "create", "--partitions", "5"])
        assert result.exit_code == 1
        assert "events.click has 5 partitions, the topics read with it have 3" in result.output

    def test_list_prints_partitions_and_missing_topics(self) -> None:
        admin.create([CLICKS], load_settings().broker, partitions=3, replication=1)
        result = CliRunner().invoke(build_cli(), ["topics", "list"])
        assert result.exit_code == 0
        lines = {line.split()[0]: line.split()[1] for line in result.output.splitlines()}
        assert lines["events.click"] == "3"
        assert lines["catalog.items"] == "missing"


def test_commands_without_a_broker_are_user_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_BROKER", "127.0.0.1:1")
    for command in ("create", "check", "list"):
        result = CliRunner().invoke(build_cli(), ["topics", command])
        assert isinstance(result.exception, UserError)
        assert "No Kafka broker answers at 127.0.0.1:1." in str(result.exception)
