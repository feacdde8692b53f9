"""Administration of topics on a broker in memory, which answers as a real one does."""

import itertools
import time
from collections.abc import Iterator

import pytest
from kafka.errors import TopicAuthorizationFailedError

from tests.support.admin_in_memory import AdminInMemory
from topics import admin
from topics.broker_client import TopicAdminError
from topics.catalog import CATALOG_ITEMS, CLICKS, DEAD_LETTERS, SEARCHES
from topics.topic_checks import Problem, ProblemKind

BROKER = "broker:9092"
REFUSED = TopicAuthorizationFailedError.errno


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> Iterator[AdminInMemory]:
    broker = AdminInMemory()
    monkeypatch.setattr(admin, "broker_client", broker.connect)
    yield broker
    assert broker.n_open == 0


def create(*specs: object, partitions: int = 4, replication: int = 1) -> list[str]:
    return admin.create(specs, BROKER, partitions=partitions, replication=replication)  # type: ignore[arg-type]


def test_missing_topics_are_created_with_their_settings(topics: AdminInMemory) -> None:
    create(CLICKS)
    assert create(CLICKS, DEAD_LETTERS, SEARCHES) == [DEAD_LETTERS.name, SEARCHES.name]
    assert topics.waited_for[1:] == [CLICKS.name, DEAD_LETTERS.name, SEARCHES.name]
    states = admin.describe([SEARCHES, DEAD_LETTERS], BROKER)
    assert [(each.spec, each.partitions, each.replication) for each in states] == [
        (SEARCHES, 4, 1),
        (DEAD_LETTERS, 1, 1),
    ]
    for state in states:
        assert state.config.items() >= state.spec.topic_config.items()
        assert state.operations == {"READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"}
    assert create(CLICKS, DEAD_LETTERS, SEARCHES) == []


def test_a_topic_that_another_process_creates_first_is_no_error(topics: AdminInMemory) -> None:
    def create_first() -> None:
        topics._create(
            CLICKS.name, {"num_partitions": 7, "replication_factor": 1, "configs": CLICKS.topic_config}
        )

    topics.on_list = create_first
    assert create(CLICKS, SEARCHES) == [SEARCHES.name]
    assert admin.describe([CLICKS], BROKER)[0].partitions == 7


def test_a_refused_creation_says_why(topics: AdminInMemory) -> None:
    with pytest.raises(TopicAdminError, match=r"create the topic events\.click: The target replication"):
        create(CLICKS, replication=3)
    topics.errors[SEARCHES.name] = REFUSED
    with pytest.raises(TopicAdminError, match=r"create the topic events\.search: TopicAuthorizationFailed"):
        create(SEARCHES)


def test_deleted_topics_are_those_that_existed(
    topics: AdminInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    topics.n_lists_after_deletion = 3
    create(CLICKS, SEARCHES)
    assert admin.delete([SEARCHES.name, "events.other"], BROKER) == [SEARCHES.name]
    # It waits until the broker lists it no more.
    assert admin.list_names(BROKER) == [CLICKS.name]
    assert admin.delete([SEARCHES.name], BROKER) == []


def test_a_topic_that_another_process_deletes_first_is_no_error(topics: AdminInMemory) -> None:
    create(CLICKS)

    def delete_first() -> None:
        topics.topics.pop(CLICKS.name, None)

    topics.on_list = delete_first
    assert admin.delete([CLICKS.name], BROKER) == [CLICKS.name]


def test_a_refused_deletion_says_why(topics: AdminInMemory) -> None:
    create(CLICKS)
    topics.errors[CLICKS.name] = REFUSED
    with pytest.raises(TopicAdminError, match=r"delete the topic events\.click: TopicAuthorizationFailed"):
        admin.delete([CLICKS.name], BROKER)


def test_a_deletion_without_an_end_is_given_up_after_half_a_minute(
    topics: AdminInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(CLICKS)
    slept: list[float] = []
    clock = itertools.count()
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock) / 100)
    topics.n_lists_after_deletion = 10_000
    with pytest.raises(TopicAdminError, match="still lists topics 30 s after their deletion"):
        admin.delete([CLICKS.name], BROKER)
    # At each hundredth of a second, by a clock that does not wait.
    assert len(slept) == 3_000
    assert set(slept) == {0.05}


def test_names_are_sorted(topics: AdminInMemory) -> None:
    create(SEARCHES, CLICKS)
    assert topics.list_topics() == [SEARCHES.name, CLICKS.name]
    assert admin.list_names(BROKER) == [CLICKS.name, SEARCHES.name]


def test_missing_topics_have_no_state(topics: AdminInMemory) -> None:
    assert [state.partitions for state in admin.describe([CLICKS], BROKER)] == [None]
    create(CLICKS)
    found, missing = admin.describe([CLICKS, SEARCHES], BROKER)
    assert (found.partitions, missing.partitions) == (4, None)
    assert missing.config == {}
    assert admin.check([CLICKS, SEARCHES], BROKER) == [Problem(SEARCHES.name, ProblemKind.MISSING)]
    assert topics.topics


def test_a_topic_without_replicas_or_with_hidden_settings_is_described(topics: AdminInMemory) -> None:
    create(CLICKS, SEARCHES)
    topics.topics[CLICKS.name]["partitions"] = []
    topics.topics[CLICKS.name]["authorized_operations"] = None
    topics.configs[CLICKS.name]["segment.ms"] = None
    topics.topics[SEARCHES.name]["partitions"][0]["replica_nodes"] = [1, 2, 3]
    empty, searches = admin.describe([CLICKS, SEARCHES], BROKER)
    assert (empty.partitions, empty.replication, empty.operations) == (0, 0, frozenset())
    assert "segment.ms" not in empty.config
    # That of the worst partition.
    assert searches.replication == 1


def test_a_topic_that_may_not_be_described_is_a_problem_that_names_the_missing_right(
    topics: AdminInMemory,
) -> None:
    create(CLICKS)
    topics.errors[CLICKS.name] = REFUSED
    [problem] = admin.check([CLICKS], BROKER)
    assert problem.is_blocking
    assert "the broker does not tell this client of it" in str(problem)
    assert problem.remedy.endswith("--operation Describe --topic events.click")
    assert admin.topic_ids([CLICKS], BROKER) == {}


@pytest.mark.usefixtures("topics")
def test_ids_tell_a_topic_that_was_made_anew() -> None:
    create(CLICKS, CATALOG_ITEMS)
    specs = [CLICKS, CATALOG_ITEMS, SEARCHES]
    before = admin.topic_ids(specs, BROKER)
    assert before.keys() == {CLICKS.name, CATALOG_ITEMS.name}
    assert admin.topic_ids(specs, BROKER) == before
    admin.delete([CLICKS.name], BROKER)
    create(CLICKS)
    after = admin.topic_ids(specs, BROKER)
    assert after[CLICKS.name] != before[CLICKS.name]
    assert after[CATALOG_ITEMS.name] == before[CATALOG_ITEMS.name]


def test_a_broker_without_ids_of_topics_reports_none(topics: AdminInMemory) -> None:
    topics.reports_ids = False
    create(CLICKS, SEARCHES)
    del topics.topics[SEARCHES.name]["topic_id"]
    assert admin.topic_ids([CLICKS, SEARCHES], BROKER) == {CLICKS.name: "", SEARCHES.name: ""}
