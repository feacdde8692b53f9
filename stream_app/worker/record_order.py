"""The order in which fetched records are processed."""

from collections.abc import Iterator, Mapping
from heapq import merge
from typing import Any

from topics.catalog import IMPRESSIONS


class BrokerTimeOrder:
    """A Faust consumer scheduler: records of all partitions in the order of the broker's timestamps.

    Impressions come first within a millisecond, because a list is displayed before the user reacts to it.

    Faust's own scheduler is a round-robin over topics: after a pause, the few purchases of a backlog would be
    processed hours ahead of its many clicks.

    Examples
    --------
    >>> from types import SimpleNamespace as Record
    >>> fetched = {"clicks": [Record(timestamp=1), Record(timestamp=3)], "buys": [Record(timestamp=2)]}
    >>> [topic for topic, _ in BrokerTimeOrder().iterate(fetched)]
    ['clicks', 'buys', 'clicks']
    """

    def iterate(self, records: Mapping[Any, list[Any]]) -> Iterator[tuple[Any, Any]]:
        """Yield (topic partition, record) in the order of the records' timestamps."""
        impressions_first = sorted(
            records.items(), key=lambda each: getattr(each[0], "topic", "") != IMPRESSIONS.name
        )
        lists = [[(record.timestamp, index, tp, record) for record in fetched]
                 for index, (tp, fetched) in enumerate(impressions_first)]  # fmt: skip
        for _, _, tp, record in lists[0] if len(lists) == 1 else merge(*lists, key=_sort_key):
            yield tp, record


def _sort_key(entry: tuple[int, int, Any, Any]) -> tuple[int, int]:
    return entry[0], entry[1]
