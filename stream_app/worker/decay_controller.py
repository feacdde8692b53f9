"""Lets the counts of all replicas lose weight faster after a sure drift, by a record on the topic ``control``.

A drift is found by one worker among its own users. What replicas learn may depend on the log alone, so this worker
writes when the faster decay begins and ends, and every replica, this one too, applies what it reads. The times are
those of the events, so that the weight of an event is the same in all replicas, whenever they read it.
"""

import logging
from typing import Final

import msgspec

from stream_app.drift_metrics import DriftMetrics
from stream_app.experiment.decay_record import DECAY_KEY, DecayRecord, parse_decay_record
from stream_app.experiment.drift import Drift
from stream_app.experiment.drift_config import FastDecayConfig
from stream_app.kafka.append import RecordAppender
from stream_app.kafka.topic_reader import topic_records
from stream_app.models.model_set import ModelSet
from topics.catalog import CONTROL
from topics.events import format_time
from topics.kafka_connection import Broker

_LOG: Final = logging.getLogger(__name__)
_encoder: Final = msgspec.json.Encoder()

LEAD: Final = 0.01
"""Share of a period by which it begins after the newest event: the time in which all replicas read the record."""


class DecayController:
    """Applies the records of the decay, and writes one after a sure drift.

    No period is announced before the last one has been over for as long as it took: the effect of one must be seen
    first.

    Parameters
    ----------
    config
        Rate and length of a period; with a rate of 1 none is announced, and those of other workers are applied.
    """

    def __init__(
        self, models: ModelSet, append: RecordAppender, metrics: DriftMetrics, config: FastDecayConfig
    ) -> None:
        self._models = models
        self._append = append
        self._metrics = metrics
        self._config = config
        self._announced = DecayRecord(
            interactions=models.decay_clocks["interactions"].schedule,
            rewards=models.decay_clocks["rewards"].schedule,
        )

    def apply_record(self, value: bytes, offset: int) -> None:
        """Apply a record of the ``control`` topic; an invalid one is logged and ignored."""
        try:
            record = parse_decay_record(value)
        except ValueError as error:
            _LOG.warning(
                "ignoring the invalid record %s of control at %s: %s", DECAY_KEY.decode(), offset, error
            )
            return
        self._announced = record
        apply_decay(self._models, record)

    def on_loss(self, drift: Drift, at: float) -> None:
        """Announce a period of faster decay after a sure fall of a stream, unless the last one is too recent.

        Parameters
        ----------
        at
            The broker's time of the event that completed the evidence, seconds since the epoch.
        """
        config, newest = self._config, self._models.newest
        if config.rate <= 1.0 or newest < self._announced.interactions.end + config.length:
            return
        lead = LEAD * config.length
        record = DecayRecord(
            interactions=self._announced.interactions.with_period(newest + lead, config.length, config.rate),
            rewards=self._announced.rewards.with_period(at + lead, config.length, config.rate),
            stream=drift.stream,
            ts=at,
        )
        # Until the record is read, nothing decays faster here either.
        self._announced = record
        self._append(CONTROL.name, 0, DECAY_KEY, _encoder.encode(record), None)
        _LOG.warning(
            "half-lives are %.4g times as short for %.4g s of event time from %s on, since %s fell",
            config.rate,
            config.length,
            format_time(newest + lead),
            drift.stream,
        )

    def report(self) -> None:
        """Set the gauge."""
        self._metrics.decay_rate.set(self._models.decay_clocks["interactions"].rate(self._models.newest))


def apply_decay(models: ModelSet, record: DecayRecord) -> None:
    """Let the counts of models lose weight by a record."""
    models.decay_clocks["interactions"].schedule = record.interactions
    models.decay_clocks["rewards"].schedule = record.rewards


def read_decay_record(broker: Broker) -> DecayRecord | None:
    """The newest valid record on ``control``; None if there is none.

    Raises
    ------
    UserError
        If no broker answers.
    """
    newest: DecayRecord | None = None
    for record in topic_records(broker, CONTROL):
        if record.key == DECAY_KEY and record.value is not None:
            try:
                newest = parse_decay_record(record.value)
            except ValueError:
                # Workers ignore it, too.
                continue
    return newest
