"""A thread that writes a log to Kafka at a steady rate."""

import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, closing
from types import TracebackType
from typing import Self

from tests.support.integration_environment import IntegrationEnvironment
from tests.support.kafka_records import KafkaRecord, producer_for, send_records


class LogFeeder(AbstractContextManager["LogFeeder"]):
    """Writes records to Kafka at a steady rate from a thread.

    Records beyond `until_fraction` are held back until the test raises it. So there is traffic while the test waits
    for a condition, and a part of the log remains, even on a slow machine. On exit all remaining records are sent.
    """

    def __init__(
        self,
        environment: IntegrationEnvironment,
        records: Sequence[KafkaRecord],
        *,
        rate: float,
        until_fraction: float = 1.0,
    ) -> None:
        self._broker = environment.settings.broker
        self._records = records
        self._rate = rate
        self._n_allowed = round(until_fraction * len(records))
        self.record_ids: list[tuple[int, int]] = []
        self._error: BaseException | None = None
        self._condition = threading.Condition()
        self._cancelled = False
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._set_limit(len(self._records), cancelled=error is not None)
        self._thread.join(120)
        assert not self._thread.is_alive(), "the feeder did not end"
        if self._error is not None and error is None:
            raise self._error

    @property
    def is_complete(self) -> bool:
        """Whether Kafka has acknowledged all records."""
        return len(self.record_ids) == len(self._records)

    def advance_to(self, until_fraction: float, *, rate: float | None = None) -> None:
        """Send up to this share of the log, optionally at another rate."""
        self._rate = rate or self._rate
        self._set_limit(round(until_fraction * len(self._records)))

    def _set_limit(self, until_fraction: int, *, cancelled: bool = False) -> None:
        with self._condition:
            self._n_allowed = until_fraction
            self._cancelled = cancelled
            self._condition.notify_all()

    def _run(self) -> None:
        try:
            with closing(producer_for(self._broker)) as producer:
                self.record_ids = [
                    (d.partition, d.offset) for d in send_records(producer, self._paced_records())
                ]
        except BaseException as error:  # noqa: BLE001  # raised in the thread that waits
            self._error = error

    def _paced_records(self) -> Iterable[KafkaRecord]:
        due = time.monotonic()
        for index, record in enumerate(self._records):
            due = max(due + 1.0 / self._rate, time.monotonic() - 0.1)
            with self._condition:
                self._condition.wait_for(lambda at=index: self._cancelled or at < self._n_allowed)  # type: ignore[misc]
                while not self._cancelled and (delay_left := due - time.monotonic()) > 0:
                    self._condition.wait(delay_left)
                if self._cancelled:
                    return
            yield record
