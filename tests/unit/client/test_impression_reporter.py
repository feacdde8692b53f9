"""Impressions: which are sent, which are not, and what happens while the broker is unavailable."""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import msgspec
import pytest

from stream_app.client import AsyncClient, Client
from stream_app.client.impression_reporter import ImpressionReporter, ReporterCounts
from stream_app.errors import UserError
from stream_app.kafka.event_records import ProducerRecord
from topics.codec import Limits, decode
from topics.events import Impression
from topics.records import ListedItem, Reason, RecommendationList

UNREACHABLE_REDIS = "redis://127.0.0.1:1/0"
MAX_WAIT = 10.0


class FakeBroker:
    """A broker that accepts records, refuses them, or does not answer."""

    def __init__(self) -> None:
        self.accepted: list[ProducerRecord] = []
        self.unavailable = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.reached = threading.Event()
        self.attempts = threading.Semaphore(0)
        self.connections = self.closed = 0
        self.lose_next_acknowledgement = False

    def connect(self, _: object) -> "FakeBroker":
        self.connections += 1
        self._answer()
        return self

    def send(self, record: ProducerRecord) -> None:
        self.accepted.append(record)

    def flush(self) -> int:
        self._answer()
        if self.lose_next_acknowledgement:
            self.lose_next_acknowledgement = False
            raise UserError("no acknowledgement")
        return len(self.accepted)

    def close(self) -> None:
        self.closed += 1

    def _answer(self) -> None:
        self.reached.set()
        assert self.may_answer.wait(MAX_WAIT)
        if self.unavailable.is_set():
            self.attempts.release()
            raise UserError("The broker at b:9092 does not accept records")

    def events(self) -> list[Impression]:
        return [msgspec.json.decode(each.value, type=Impression) for each in self.accepted]


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
def make_reporter(broker: FakeBroker) -> Iterator[Callable[..., ImpressionReporter]]:
    reporters: list[ImpressionReporter] = []

    def reporter(max_pending: int = 100) -> ImpressionReporter:
        reporters.append(
            ImpressionReporter(
                "b:9092", max_pending=max_pending, connect=broker.connect, clock=lambda: 1_700_000_000.1234
            )
        )
        return reporters[-1]

    yield reporter
    broker.may_answer.set()
    broker.unavailable.clear()
    for each in reporters:
        each.close()


def make_list(*items: str) -> RecommendationList:
    listed_items = tuple(ListedItem(item, 0.5, 1.0, Reason("popular")) for item in items)
    return RecommendationList(
        list_id="l-1",
        key="recs:user:{ann}",
        generated_at="",
        policy="fixed",
        model_version=1,
        items=listed_items,
    )


def test_a_displayed_list_is_reported_as_an_impression_keyed_by_user(
    make_reporter: Callable[..., ImpressionReporter], broker: FakeBroker
) -> None:
    with make_reporter() as reporter:
        assert reporter.report_impression(
            "änn",
            make_list("b", "a"),
            surface="home",
            channel="web",
            session_id="s",
            context={"country": "FR"},
        )
        assert reporter.report_impression("änn", "l-1")
        assert reporter.report_impression("änn", make_list("b", "a", "c"), ["a", "b"])
        assert reporter.report_impression("änn", None, ["z"], surface="mail")
    assert {(record.topic, record.key) for record in broker.accepted} == {
        ("events.impression", "änn".encode())
    }
    whole, by_name, part, mail = broker.events()
    assert (whole.list_id, whole.items, whole.surface, whole.ts) == (
        "l-1",
        ["b", "a"],
        "home",
        1_700_000_000_123,
    )
    assert (whole.channel, whole.session_id, whole.context) == ("web", "s", {"country": "FR"})
    assert (by_name.list_id, by_name.items, by_name.surface) == ("l-1", [], None)
    assert part.items == ["a", "b"]
    assert (mail.list_id, mail.items) == (None, ["z"])
    assert len({event.event_id for event in (whole, by_name, part, mail)}) == 4
    for record in broker.accepted:
        decode(record.value, Impression, received=1_700_000_000.0, limits=Limits())


def test_empty_impressions_are_not_reported(
    make_reporter: Callable[..., ImpressionReporter], broker: FakeBroker
) -> None:
    with make_reporter() as reporter:
        # an impression of a list without items would mean that the whole list was seen
        assert not reporter.report_impression("ann", make_list("a"), [])
        assert not reporter.report_impression("ann", "l-1", ())
        assert not reporter.report_impression("ann", make_list())
        assert not reporter.report_impression("ann", None, surface="home")
    assert not broker.connections
    assert reporter.counts == ReporterCounts(0, 0, 0, 0)


@pytest.mark.parametrize(
    ("user", "items", "more"),
    [
        ("", ["a"], {}),
        ("u" * 257, ["a"], {}),
        ("é" * 129, ["a"], {}),
        ("\ud800", ["a"], {}),
        (17, ["a"], {}),
        ("ann", [""], {}),
        ("ann", ["a"] * 1_001, {}),
        ("ann", [object()], {}),
        ("ann", 5, {}),
        ("ann", ["\0" * 256] * 1_000, {}),
        ("ann", ["a"], {"surface": ""}),
        ("ann", ["a"], {"context": {"k": 2**63}}),
        ("ann", ["a"], {"context": {"k": {"deep": 1}}}),
        ("ann", ["a"], {"context": 5}),
    ],
)
def test_invalid_impressions_are_counted_and_not_sent(
    make_reporter: Callable[..., ImpressionReporter],
    broker: FakeBroker,
    user: str,
    items: list[str],
    more: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with make_reporter() as reporter:
        for _ in range(3):
            assert not reporter.report_impression(user, "l-1", items, **more)  # type: ignore[arg-type]
    assert not broker.accepted
    assert reporter.counts.rejected == 3
    assert len(caplog.messages) == 1, "logged once"


def test_an_unresponsive_broker_does_not_block_and_excess_impressions_are_dropped(
    make_reporter: Callable[..., ImpressionReporter], broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.may_answer.clear()
    reporter = make_reporter(max_pending=5)
    # if `report_impression` waited for the broker, this would never return
    accepted = [reporter.report_impression(f"u{number}", "l-1") for number in range(8)]
    assert accepted == [True] * 5 + [False] * 3
    assert broker.reached.wait(MAX_WAIT)
    assert reporter.counts == ReporterCounts(sent=0, pending=5, dropped=3, rejected=0)
    assert not reporter.flush(timeout=0.0)
    assert len(caplog.messages) == 1
    broker.may_answer.set()
    assert reporter.flush(MAX_WAIT)
    assert reporter.counts == ReporterCounts(sent=5, pending=0, dropped=3, rejected=0)
    assert [event.user_id for event in broker.events()] == ["u0", "u1", "u2", "u3", "u4"]
    assert reporter.report_impression("u9", "l-1"), "the queue has room again"


def test_impressions_are_resent_when_an_unavailable_broker_returns(
    make_reporter: Callable[..., ImpressionReporter], broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    broker.unavailable.set()
    reporter = make_reporter()
    assert reporter.report_impression("ann", "l-1")
    assert broker.attempts.acquire(timeout=MAX_WAIT)
    assert broker.attempts.acquire(timeout=MAX_WAIT), "a second attempt"
    assert broker.attempts.acquire(timeout=MAX_WAIT), "a third attempt"
    assert reporter.report_impression("bob", "l-1")
    broker.unavailable.clear()
    assert reporter.flush(MAX_WAIT)
    assert [event.user_id for event in broker.events()] == ["ann", "bob"]
    reporter.close()
    assert reporter.counts == ReporterCounts(sent=2, pending=0, dropped=0, rejected=0)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"], "one outage, one recovery"


def test_unacknowledged_impressions_are_resent_with_the_same_event_id(
    make_reporter: Callable[..., ImpressionReporter], broker: FakeBroker
) -> None:
    broker.lose_next_acknowledgement = True
    with make_reporter() as reporter:
        assert reporter.report_impression("ann", "l-1")
        assert reporter.flush(MAX_WAIT)
    first, again = broker.accepted
    assert first == again
    assert (broker.connections, broker.closed) == (2, 2)
    assert reporter.counts.sent == 1


def test_closing_with_an_unavailable_broker_drops_and_logs_queued_impressions(
    make_reporter: Callable[..., ImpressionReporter], broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.unavailable.set()
    reporter = make_reporter()
    assert reporter.report_impression("ann", "l-1")
    assert broker.attempts.acquire(timeout=MAX_WAIT)
    reporter.close()
    assert reporter.counts == ReporterCounts(sent=0, pending=0, dropped=1, rejected=0)
    assert "1 impressions were not sent before the reporter closed" in caplog.text
    assert not reporter.report_impression("ann", "l-1")
    reporter.close()
    assert reporter.counts.dropped == 2


async def test_both_clients_report_through_their_reporter_and_close_it(
    make_reporter: Callable[..., ImpressionReporter], broker: FakeBroker
) -> None:
    with Client(UNREACHABLE_REDIS, reporter=make_reporter()) as client:
        assert client.report_impression("ann", make_list("a"), surface="home")
    async with AsyncClient(UNREACHABLE_REDIS, reporter=make_reporter()) as async_client:
        assert async_client.report_impression("bob", make_list("a"), ["a"], surface="home")
    assert [event.user_id for event in broker.events()] == ["ann", "bob"], "closing sends queued impressions"
    assert broker.closed == 2


def test_a_client_without_a_reporter_raises() -> None:
    with Client(UNREACHABLE_REDIS) as client, pytest.raises(RuntimeError, match="ImpressionReporter"):
        client.report_impression("ann", "l-1")


def test_the_client_does_not_import_kafka() -> None:
    code = "import sys, stream_app.client, stream_app.client.impression_reporter; sys.exit('kafka' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
