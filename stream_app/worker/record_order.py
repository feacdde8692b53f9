"""The order in which fetched records are taken."""

from collections.abc import Iterator, Mapping
from heapq import merge
from typing import Any

from topics.catalog import IMPRESSIONS


class BrokerTimeOrder:
    """A Faust consumer scheduler: records of all partitions by the time the broker dated them.

    Of the same millisecond, impressions come first: what a shopper was shown comes before what they made of it.

    Faust's own goes round the topics in turn, so that after a pause the few purchases of a backlog run hours
    ahead of its many clicks.

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
