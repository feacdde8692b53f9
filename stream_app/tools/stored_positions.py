"""Reads the positions that workers have stored with the rows, from the changelog (`state.positions`)."""

import time
from typing import Final

from state.positions import PartitionPositions, decode_positions, positions_key
from stream_app.tools.newest_records import newest_records
from topics.catalog import changelog
from topics.consumer_groups import offset_ranges
from topics.kafka_connection import Broker

_FIRST_RECORDS: Final = 2_000
"""A worker stores positions with each commit: they are among the newest records."""

_GROWTH: Final = 8
_SECONDS: Final = 10.0


def read_stored_positions(app_id: str, broker: Broker) -> dict[int, PartitionPositions]:
    """The newest positions of each partition of the users table.

    Parameters
    ----------
    app_id
        Id of the application.
    broker
        Bootstrap servers.

    Returns
    -------
    dict
        By partition; without those that were not found within ten seconds.

    Raises
    ------
    BrokerUnavailableError, TopicAdminError
        If the topic cannot be described.
    UserError
        If no broker answers.
    """
    unread = {tp: each for tp, each in offset_ranges([changelog(app_id)], broker).items() if each.end}
    found: dict[int, PartitionPositions] = {}
    n_records, deadline = _FIRST_RECORDS, time.monotonic() + _SECONDS
    while unread and (seconds := deadline - time.monotonic()) > 0:
        for record in newest_records(broker, unread, n_records, seconds):
            if record.key == positions_key(record.partition):
                found[record.partition] = decode_positions(record.value)
        unread = {
            tp: each
            for tp, each in unread.items()
            if tp.partition not in found and each.end - each.beginning > n_records
        }
        n_records *= _GROWTH
    return found
