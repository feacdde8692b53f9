"""What shoppers were shown, reported back to Kafka by the web tier.

A page must neither wait for Kafka nor fail with it: `ImpressionReporter.report_impression` checks an impression and
puts it in line, a thread sends it. What a broker that is away did not take is sent again when it is back, up to a
bound.
"""

import contextlib
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Final, NamedTuple, Self

import msgspec

from stream_app.kafka.event_records import MAX_RECORD_BYTES, ProducerRecord, event_record
from stream_app.kafka.event_sender import EventSender
from topics.codec import Limits, RejectedError, RejectReason, decode
from topics.events import Impression
from topics.records import RecommendationList

MAX_PENDING: Final = 10_000
"""Most impressions that wait for the broker; what comes then is dropped and counted."""

_BATCH_SIZE: Final = 500
"""Impressions that are sent before their acknowledgements are waited for."""

_CLOSE_SECONDS: Final = 5.0
_BACKOFF: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_LIMITS: Final = Limits()
_LOG: Final = logging.getLogger(__name__)


class ReporterCounts(NamedTuple):
    """What became of impressions.

    Attributes
    ----------
    sent
        Acknowledged by the broker.
    pending
        In line, or on their way.
    dropped
        Lost: the line was full, or the reporter was closed before the broker took them.
    rejected
        Not sent, since they would have become dead letters.
    """

    sent: int
    pending: int
    dropped: int
    rejected: int


class ImpressionReporter:
    """Reports what was shown, without ever waiting for Kafka. Safe to share among threads; keep one a process.

    An impression that was sent and not acknowledged is sent again under the same ``event_id``, which workers take
    once. The thread, and with it the connection, begins with the first impression.

    Parameters
    ----------
    broker
        Bootstrap servers, comma-separated host:port.
    max_pending
        Most impressions that wait.
    connect
        Makes the outbox that they leave by, of the bootstrap servers; None connects to Kafka.
    clock
        Seconds since the epoch, the time of an impression.

    Examples
    --------
    >>> from stream_app.kafka.event_sender import InMemoryEventSender
    >>> sender = InMemoryEventSender()
    >>> with ImpressionReporter("localhost:9092", connect=lambda broker: sender) as reporter:
    ...     reporter.report_impression("visitor-17", "6f1d0c7b52aa3e94", ["i42", "i9"], surface="home")
    ...     reporter.report_impression("", "6f1d0c7b52aa3e94")  # nobody
    True
    False
    >>> [(record.topic, record.key) for record in sender.records]
    [('events.impression', b'visitor-17')]
    >>> reporter.counts
    ReporterCounts(sent=1, pending=0, dropped=0, rejected=1)
    """

    def __init__(
        self,
        broker: str,
        *,
        max_pending: int = MAX_PENDING,
        connect: Callable[[str], EventSender] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._broker = broker
        self._max_pending = max_pending
        self._connect_sender = connect or _connect_sender
        self._clock = clock
        self._condition = threading.Condition()  # guards what follows
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
        """Report that a shopper was shown a list, or a part of it, now. Returns at once and never raises.

        Parameters
        ----------
        user_id
            The shopper.
        document
            The list, or its `list_id`; None where it is none of Headrace's.
        items
            What was on the screen, in the order shown; None for all of the list.
        surface
            Where: home, product page, mail, …
        session_id, channel, context
            As in every event.

        Returns
        -------
        bool
            Whether it will be sent. False where nothing was shown, where it would become a dead letter, and where
            `max_pending` wait already; `counts` tells.
        """
        if items is None and isinstance(document, RecommendationList):
            # The document may have been read without items to leave out: what is left of it was shown.
            items = [item.id for item in document.items]
        try:
            if isinstance(items, str):
                raise RejectedError(RejectReason.WRONG_TYPE, "items is one id, not a list of them")  # noqa: TRY301
            items = None if items is None else list(items)
            if not items and (items is not None or document is None):
                return False  # an impression of a list that names no items says that all of it was seen
            record = self._build_record(user_id, document, items or (), surface, session_id, channel, context)
        except RejectedError as error:
            self._reject(error)
            return False
        except TypeError as error:
            self._reject(RejectedError(RejectReason.WRONG_TYPE, str(error)))
            return False
        with self._condition:
            if self._closed or len(self._pending) >= self._max_pending:
                self._drop(1)
                return False
            self._pending.append(record)
            if (
                self._thread is None or not self._thread.is_alive()
            ):  # threads do not follow into a forked process
                self._thread = threading.Thread(target=self._run, name="headrace-impressions", daemon=True)
                self._thread.start()
            self._condition.notify_all()
        return True

    @property
    def counts(self) -> ReporterCounts:
        """What became of the impressions so far."""
        with self._condition:
            return ReporterCounts(self._sent, len(self._pending), self._dropped, self._rejected)

    def flush(self, timeout: float = _CLOSE_SECONDS) -> bool:
        """Wait until the broker has everything; whether it has after `timeout` seconds."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._pending, timeout)

    def close(self, timeout: float = _CLOSE_SECONDS) -> None:
        """Send what waits, for at most `timeout` seconds; what is left then, or at the first failure, is dropped.

        Closing twice is fine.
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
                _LOG.warning("%d impressions were not sent before closing", n_unsent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _build_record(
        self,
        user_id: str,
        document: RecommendationList | str | None,
        items: Sequence[str],
        surface: str | None,
        session_id: str | None,
        channel: str | None,
        context: Mapping[str, str | int | float | bool | None] | None,
    ) -> ProducerRecord:
        now = self._clock()
        try:
            raw = msgspec.json.encode(
                Impression(
                    event_id=uuid.uuid4().hex,
                    user_id=user_id,
                    ts=round(now * 1000),
                    session_id=session_id,
                    channel=channel,
                    context=dict(context or {}),
                    list_id=document.list_id if isinstance(document, RecommendationList) else document,
                    surface=surface,
                    items=list(items),
                )
            )
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise RejectedError(RejectReason.WRONG_TYPE, str(error)) from None
        if len(raw) > MAX_RECORD_BYTES:
            raise RejectedError(RejectReason.INVALID_VALUE, f"{len(raw):,} bytes are too many for one record")
        return event_record(decode(raw, Impression, received=now, limits=_LIMITS))

    def _reject(self, error: RejectedError) -> None:
        with self._condition:
            self._rejected += 1
            already_warned = error.reason in self._warned_reasons
            self._warned_reasons.add(error.reason)
        if not already_warned:
            _LOG.warning(
                "an impression is not sent (further ones of that reason are only counted): %s", error
            )

    def _drop(self, count: int) -> None:
        self._dropped += count
        if not self._warned_full:
            self._warned_full = True
            cause = "the reporter is closed" if self._closed else f"{len(self._pending)} wait for the broker"
            _LOG.warning("impressions are dropped, since %s", cause)

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
                except Exception as error:  # noqa: BLE001  # told in the log; the next try is the thread's
                    _close(sender)
                    sender = None
                    if not self._back_off(error):
                        return
                else:
                    self._on_acknowledged(len(batch))
        finally:
            _close(sender)

    def _next_batch(self) -> list[ProducerRecord]:
        """The oldest that wait, which stay in line until they are acknowledged; none in the end."""
        with self._condition:
            self._condition.wait_for(lambda: self._pending or self._closed)
            return list(islice(self._pending, _BATCH_SIZE))

    def _on_acknowledged(self, count: int) -> None:
        with self._condition:
            recovered, self._failures, self._warned_full = self._failures > 0, 0, False
            # `close` may have given up on them meanwhile and counted them among the dropped
            for _ in range(min(count, len(self._pending))):
                self._pending.popleft()
                self._sent += 1
            self._condition.notify_all()
        if recovered:
            _LOG.info("the broker takes impressions again")

    def _back_off(self, error: Exception) -> bool:
        """Wait a little, longer with every failure; False where it was the last try."""
        with self._condition:
            self._failures += 1
            failures = self._failures
        if failures == 1:
            _LOG.warning("impressions wait for the broker: %s", error)
        with self._condition:
            if not self._closed:
                self._condition.wait_for(lambda: self._closed, _BACKOFF[min(failures, len(_BACKOFF)) - 1])
                return True
            return False


def _close(sender: EventSender | None) -> None:
    if sender is not None:
        with contextlib.suppress(Exception):  # a connection that is given up; the thread goes on
            sender.close()


def _connect_sender(broker: str) -> EventSender:
    from stream_app.kafka.kafka_event_sender import KafkaEventSender  # noqa: PLC0415  # Kafka's client only where it is used

    return KafkaEventSender(broker)
