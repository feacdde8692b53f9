"""Reports impressions from the web tier to Kafka.

A page must neither wait for Kafka nor fail with it: `ImpressionReporter.report_impression` validates an impression
and queues it, and a thread sends it. While the broker is unavailable impressions stay queued, up to a bound.
"""

import contextlib
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple, Self, TypedDict

import msgspec

from stream_app.kafka.event_records import MAX_RECORD_BYTES, ProducerRecord, event_record
from stream_app.kafka.event_sender import EventSender
from topics.codec import Limits, RejectedError, RejectReason, decode
from topics.events import Impression
from topics.kafka_connection import Broker
from topics.records import RecommendationList

MAX_PENDING: Final = 10_000
"""Bound on queued impressions; further ones are dropped and counted."""

_BATCH_SIZE: Final = 500
"""Impressions sent before the thread waits for the acknowledgements."""

_CLOSE_SECONDS: Final = 5.0
_BACKOFF: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_LIMITS: Final = Limits()
_LOG: Final = logging.getLogger(__name__)


class ImpressionFields(TypedDict, total=False):
    """The optional fields of an impression; see `ImpressionReporter.report_impression`."""

    surface: str | None
    session_id: str | None
    channel: str | None
    context: Mapping[str, str | int | float | bool | None] | None


class ReporterCounts(NamedTuple):
    """Counts of impressions by outcome.

    Attributes
    ----------
    sent
        Acknowledged by the broker.
    pending
        Queued or in flight.
    dropped
        Lost: the queue was full, or the reporter was closed before the acknowledgement.
    rejected
        Invalid and not sent: they would become dead letters.
    """

    sent: int
    pending: int
    dropped: int
    rejected: int


class ImpressionReporter:
    """Reports impressions without waiting for Kafka. Thread-safe; use one reporter per process.

    An impression without an acknowledgement is sent again with the same ``event_id``, and workers drop the duplicate.
    The thread starts, and connects, with the first impression.

    Parameters
    ----------
    broker
        Bootstrap servers, comma-separated host:port.
    max_pending
        Bound on queued impressions.
    connect
        Creates the sender from the bootstrap servers; None connects to Kafka.
    clock
        Seconds since the epoch, for the time of an impression.

    Examples
    --------
    >>> from unittest.mock import Mock
    >>> sender = Mock(spec=EventSender)
    >>> with ImpressionReporter("localhost:9092", connect=lambda broker: sender) as reporter:
    ...     reporter.report_impression("user-17", "6f1d0c7b52aa3e94", ["i42", "i9"], surface="home")
    ...     reporter.report_impression("", "6f1d0c7b52aa3e94")  # no user
    True
    False
    >>> [(sent.args[0].topic, sent.args[0].key) for sent in sender.send.call_args_list]
    [('events.impression', b'user-17')]
    >>> reporter.counts
    ReporterCounts(sent=1, pending=0, dropped=0, rejected=1)
    """

    def __init__(
        self,
        broker: Broker,
        *,
        max_pending: int = MAX_PENDING,
        connect: Callable[[Broker], EventSender] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._broker = broker
        self._max_pending = max_pending
        self._connect_sender = connect or _connect_sender
        self._clock = clock
        self._condition = threading.Condition()  # protects the fields below
        self._pending: deque[ProducerRecord] = deque()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._sent = self._dropped = self._rejected = 0
        self._failures = 0  # in a row
        self._warned_full = False
        self._warned_reasons: set[RejectReason] = set()

    def report_impression(
        self,
        user_id: str,
        document: RecommendationList | str | None,
        items: Sequence[str] | None = None,
        *,
        surface: str | None = None,
        session_id: str | None = None,
        channel: str | None = None,
        context: Mapping[str, str | int | float | bool | None] | None = None,
    ) -> bool:
        """Report that a list, or a part of it, is displayed now. Returns at once and never raises.

        Parameters
        ----------
        document
            The list, or its `list_id`; None for a list that is not from Headrace.
        items
            The displayed items, in their order; None for the whole list.
        surface
            Where they were displayed: home, product page, mail, …
        session_id, channel, context
            As in all events.

        Returns
        -------
        bool
            Whether it is queued. False if no item was displayed, if the impression is invalid, or if the queue is
            full; see `counts`.
        """
        now = self._clock()
        try:
            displayed = _displayed_items(document, items)
            if not displayed and (displayed is not None or document is None):
                return False  # an impression of a list without items would mean that the whole list was seen
            impression = Impression(
                event_id=uuid.uuid4().hex,
                user_id=user_id,
                ts=round(now * 1000),
                session_id=session_id,
                channel=channel,
                context=dict(context or {}),
                list_id=document.list_id if isinstance(document, RecommendationList) else document,
                surface=surface,
                items=displayed or [],
            )
            record = _checked_record(impression, now)
        except RejectedError as error:
            self._reject(error)
            return False
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            self._reject(RejectedError(RejectReason.WRONG_TYPE, str(error)))
            return False
        with self._condition:
            if self._closed or len(self._pending) >= self._max_pending:
                self._drop(1)
                return False
            self._pending.append(record)
            if (
                self._thread is None or not self._thread.is_alive()
            ):  # a forked process has no copy of the thread
                self._thread = threading.Thread(target=self._run, name="headrace-impressions", daemon=True)
                self._thread.start()
            self._condition.notify_all()
        return True

    @property
    def counts(self) -> ReporterCounts:
        """Counts so far."""
        with self._condition:
            return ReporterCounts(self._sent, len(self._pending), self._dropped, self._rejected)

    def flush(self, timeout: float = _CLOSE_SECONDS) -> bool:
        """Wait until all impressions are acknowledged; return False after `timeout` seconds."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._pending, timeout)

    def close(self, timeout: float = _CLOSE_SECONDS) -> None:
        """Send queued impressions, for at most `timeout` seconds or until the first failure; drop the rest.

        Closing twice is allowed.
        """
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)
        with self._condition:
            n_unsent = len(self._pending)
            if n_unsent:
                self._pending.clear()
                self._dropped += n_unsent
                _LOG.warning("%d impressions were not sent before the reporter closed", n_unsent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reject(self, error: RejectedError) -> None:
        with self._condition:
            self._rejected += 1
            already_warned = error.reason in self._warned_reasons
            self._warned_reasons.add(error.reason)
        if not already_warned:
            _LOG.warning(
                "invalid impression not sent; further ones with this reason are only counted: %s", error
            )

    def _drop(self, count: int) -> None:
        self._dropped += count
        if not self._warned_full:
            self._warned_full = True
            cause = "the reporter is closed" if self._closed else f"{len(self._pending)} are queued"
            _LOG.warning(
                "dropping impressions for broker %s: %s; further ones are only counted", self._broker, cause
            )

    # In the thread

    def _run(self) -> None:
        sender: EventSender | None = None
        try:
            while batch := self._next_batch():
                try:
                    sender = sender or self._connect_sender(self._broker)
                    for record in batch:
                        sender.send(record)
                    sender.flush()
                except Exception as error:  # noqa: BLE001  # logged; the thread retries
                    _close(sender)
                    sender = None
                    if not self._back_off(error):
                        return
                else:
                    self._on_acknowledged(len(batch))
        finally:
            _close(sender)

    def _next_batch(self) -> list[ProducerRecord]:
        """The oldest impressions, which stay queued until acknowledged; empty after `close`."""
        with self._condition:
            self._condition.wait_for(lambda: self._pending or self._closed)
            return list(islice(self._pending, _BATCH_SIZE))

    def _on_acknowledged(self, count: int) -> None:
        with self._condition:
            recovered, self._failures, self._warned_full = self._failures > 0, 0, False
            # `close` may have counted them as dropped meanwhile
            for _ in range(min(count, len(self._pending))):
                self._pending.popleft()
                self._sent += 1
            self._condition.notify_all()
        if recovered:
            _LOG.info("broker %s is available again; sent %d impressions", self._broker, count)

    def _back_off(self, error: Exception) -> bool:
        """Wait, longer with every failure; return False if the reporter is closed."""
        with self._condition:
            self._failures += 1
            failures, n_queued = self._failures, len(self._pending)
        if failures == 1:
            _LOG.warning(
                "broker %s is unavailable; %d impressions stay queued: %s", self._broker, n_queued, error
            )
        with self._condition:
            if not self._closed:
                self._condition.wait_for(lambda: self._closed, _BACKOFF[min(failures, len(_BACKOFF)) - 1])
                return True
            return False


def _displayed_items(
    document: RecommendationList | str | None, items: Sequence[str] | None
) -> list[str] | None:
    """The displayed items; None for the whole list."""
    if isinstance(items, str):
        raise RejectedError(RejectReason.WRONG_TYPE, "items is a single id; pass a list of ids")
    if items is None and isinstance(document, RecommendationList):
        # A document read with excluded items has a shorter list under the same list_id.
        return [item.id for item in document.items]
    return None if items is None else list(items)


def _checked_record(impression: Impression, received: float) -> ProducerRecord:
    raw = msgspec.json.encode(impression)
    if len(raw) > MAX_RECORD_BYTES:
        raise RejectedError(
            RejectReason.INVALID_VALUE,
            f"the record has {len(raw):,} bytes, the limit is {MAX_RECORD_BYTES:,}",
        )
    return event_record(decode(raw, Impression, received=received, limits=_LIMITS))


def _close(sender: EventSender | None) -> None:
    if sender is not None:
        with contextlib.suppress(Exception):  # the connection is abandoned; the thread goes on
            sender.close()


def _connect_sender(broker: Broker) -> EventSender:
    from stream_app.kafka.kafka_event_sender import KafkaEventSender  # noqa: PLC0415  # imported only when used

    return KafkaEventSender(broker)
