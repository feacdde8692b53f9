"""The record on the topic ``control`` that makes counts of all replicas lose weight faster for a time."""

from typing import Final

import msgspec

from stream_app.experiment.control import decode_control_record
from stream_app.models.decay_clock import DecaySchedule

DECAY_KEY: Final = b"decay"
"""Key of the record."""


class DecayRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All periods of faster decay: the newest record replaces those before it.

    Attributes
    ----------
    interactions, rewards
        Periods by event time, for what is learned from ``interactions``, and by the broker's time, for ``rewards``.
    stream
        The stream that had drifted.
    ts
        The broker's time of the event that completed the evidence, seconds since the epoch.
    """

    interactions: DecaySchedule
    rewards: DecaySchedule
    stream: str = ""
    ts: float = 0.0


_decoder: Final = msgspec.json.Decoder(DecayRecord)


def parse_decay_record(value: bytes) -> DecayRecord:
    """Decode and validate a record.

    Raises
    ------
    ValueError
        If the JSON or a period is invalid.

    Examples
    --------
    >>> parse_decay_record(b'{"interactions": {"periods": [[20, 10, 4]]}, "rewards": {}}')
    Traceback (most recent call last):
    ValueError: a decay schedule has an impossible period: ...
    """
    return decode_control_record(_decoder, value)
