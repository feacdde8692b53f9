"""Reporting what was shown: what is sent, what is not, and what happens while the broker is away."""

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
from stream_app.kafka.event_records import OutgoingRecord
from topics.codec import Limits, decode
from topics.events import Impression
from topics.records import ListedItem, Reason, RecommendationList

NOBODY = "redis://127.0.0.1:1/0"
PATIENCE = 10.0


class Broker:
    """Takes records, or is away; held, it answers nothing until it is let go."""

    def __init__(self) -> None:
        self.taken: list[OutgoingRecord] = []
        self.away = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self.reached = threading.Event()
        self.tried = threading.Semaphore(0)
        self.connections = self.closed = 0
        self.loses_acknowledgements = False

    def connect(self, _: str) -> "Broker":
        self.connections += 1
        self._answer()
        return self

    def send(self, record: OutgoingRecord) -> None:
        self.taken.append(record)

    def flush(self) -> int:
        self._answer()
        if self.loses_acknowledgements:
            self.loses_acknowledgements = False
            raise UserError("no acknowledgement")
        return len(self.taken)

    def close(self) -> None:
        self.closed += 1

    def _answer(self) -> None:
        self.reached.set()
        assert self.go_on.wait(PATIENCE)
        if self.away.is_set():
            self.tried.release()
            raise UserError("The broker at b:9092 does not take records")

    def events(self) -> list[Impression]:
        return [msgspec.json.decode(each.value, type=Impression) for each in self.taken]


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def make(broker: Broker) -> Iterator[Callable[..., ImpressionReporter]]:
    made: list[ImpressionReporter] = []

    def reporter(max_waiting: int = 100) -> ImpressionReporter:
        made.append(
            ImpressionReporter(
                "b:9092", max_waiting=max_waiting, connect=broker.connect, clock=lambda: 1_700_000_000.1234
            )
        )
        return made[-1]

    yield reporter
    broker.go_on.set()
    broker.away.clear()
    for each in made:
        each.close()


def listed(*items: str) -> RecommendationList:
    places = tuple(ListedItem(item, 0.5, 1.0, Reason("popular")) for item in items)
    return RecommendationList(
        list_id="l-1", key="recs:user:{ann}", generated_at="", policy="fixed", model_version=1, items=places
    )


def test_a_list_shown_is_an_impression_of_now_under_the_shoppers_key(
    make: Callable[..., ImpressionReporter], broker: Broker
) -> None:
    with make() as reporter:
        assert reporter.shown(
            "änn", listed("b", "a"), surface="home", channel="web", session_id="s", context={"country": "FR"}
        )
        assert reporter.shown("änn", "l-1")
        assert reporter.shown("änn", listed("b", "a", "c"), ["a", "b"])
        assert reporter.shown("änn", None, ["z"], surface="mail")
    assert {(record.topic, record.key) for record in broker.taken} == {("events.impression", "änn".encode())}
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
    for record in broker.taken:
        decode(record.value, Impression, received=1_700_000_000.0, limits=Limits())


def test_where_nothing_was_shown_nothing_is_reported(
    make: Callable[..., ImpressionReporter], broker: Broker
) -> None:
    with make() as reporter:
        # an impression that names the list and no items would say that all of it was seen
        assert not reporter.shown("ann", listed("a"), [])
        assert not reporter.shown("ann", "l-1", ())
        assert not reporter.shown("ann", listed())
        assert not reporter.shown("ann", None, surface="home")
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
def test_what_would_become_a_dead_letter_is_counted_and_not_sent(
    make: Callable[..., ImpressionReporter],
    broker: Broker,
    user: str,
    items: list[str],
    more: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with make() as reporter:
        for _ in range(3):
            assert not reporter.shown(user, "l-1", items, **more)  # type: ignore[arg-type]
    assert not broker.taken
    assert reporter.counts.refused == 3
    assert len(caplog.messages) == 1, "told once"


def test_a_silent_broker_holds_nobody_up_and_what_is_too_much_is_dropped(
    make: Callable[..., ImpressionReporter], broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.go_on.clear()
    reporter = make(max_waiting=5)
    # had `shown` waited for the broker, it would never come back: nobody lets it go on before
    taken = [reporter.shown(f"u{number}", "l-1") for number in range(8)]
    assert taken == [True] * 5 + [False] * 3
    assert broker.reached.wait(PATIENCE)
    assert reporter.counts == ReporterCounts(sent=0, waiting=5, dropped=3, refused=0)
    assert not reporter.flush(timeout=0.0)
    assert len(caplog.messages) == 1
    broker.go_on.set()
    assert reporter.flush(PATIENCE)
    assert reporter.counts == ReporterCounts(sent=5, waiting=0, dropped=3, refused=0)
    assert [event.user_id for event in broker.events()] == ["u0", "u1", "u2", "u3", "u4"]
    assert reporter.shown("u9", "l-1"), "there is room again"


def test_what_a_broker_that_is_away_did_not_take_is_sent_when_it_is_back(
    make: Callable[..., ImpressionReporter], broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    broker.away.set()
    reporter = make()
    assert reporter.shown("ann", "l-1")
    assert broker.tried.acquire(timeout=PATIENCE)
    assert broker.tried.acquire(timeout=PATIENCE), "it is tried again"
    assert reporter.shown("bob", "l-1")
    broker.away.clear()
    assert reporter.flush(PATIENCE)
    assert [event.user_id for event in broker.events()] == ["ann", "bob"]
    reporter.close()
    assert reporter.counts == ReporterCounts(sent=2, waiting=0, dropped=0, refused=0)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"], "away once, back once"


def test_what_may_have_arrived_is_sent_again_under_the_same_id(
    make: Callable[..., ImpressionReporter], broker: Broker
) -> None:
    broker.loses_acknowledgements = True
    with make() as reporter:
        assert reporter.shown("ann", "l-1")
        assert reporter.flush(PATIENCE)
    first, again = broker.taken
    assert first == again
    assert (broker.connections, broker.closed) == (2, 2)
    assert reporter.counts.sent == 1


def test_closing_gives_a_broker_that_is_away_up_and_says_what_is_lost(
    make: Callable[..., ImpressionReporter], broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.away.set()
    reporter = make()
    assert reporter.shown("ann", "l-1")
    assert broker.tried.acquire(timeout=PATIENCE)
    reporter.close()
    assert reporter.counts == ReporterCounts(sent=0, waiting=0, dropped=1, refused=0)
    assert "1 impressions were not sent" in caplog.text
    assert not reporter.shown("ann", "l-1")
    reporter.close()
    assert reporter.counts.dropped == 2


async def test_both_clients_report_by_what_they_are_given_and_close_it(
    make: Callable[..., ImpressionReporter], broker: Broker
) -> None:
    with Client(NOBODY, impressions=make()) as client:
        assert client.shown("ann", listed("a"), surface="home")
    async with AsyncClient(NOBODY, impressions=make()) as in_loop:
        assert in_loop.shown("bob", listed("a"), ["a"], surface="home")
    assert [event.user_id for event in broker.events()] == ["ann", "bob"], "closing sends what waits"
    assert broker.closed == 2


def test_a_client_without_a_reporter_says_so() -> None:
    with Client(NOBODY) as client, pytest.raises(RuntimeError, match="ImpressionReporter"):
        client.shown("ann", "l-1")


def test_who_only_reads_lists_loads_no_kafka() -> None:
    code = "import sys, stream_app.client, stream_app.client.impression_reporter; sys.exit('kafka' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
