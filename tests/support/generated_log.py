"""A generated log of a shop's events, as records for Kafka."""

import functools
import time
from typing import Any, NamedTuple

import numpy as np

from tests.support.kafka_records import KafkaRecord, to_record
from topics.events import Action, Click, OrderLine, Purchase, Search


class GeneratedLog(NamedTuple):
    """A day of a shop, as it went to Kafka."""

    records: list[KafkaRecord]
    users: set[str]
    n_accepted: int
    """Events without those sent twice."""


@functools.cache
def generate_log(events: int, *, users: int = 500, items: int = 90, seed: int = 11) -> GeneratedLog:
    """Visits of shoppers over the last day: searches, clicks, purchases; some late, some sent twice.

    There are fewer items than an item has room for neighbors, so that nothing is pruned, and fewer events of a
    shopper than the ring of ids holds.
    """
    rng = np.random.default_rng(seed)
    start = time.time() - 20 * 3600
    popularity = 1.0 / np.arange(1, items + 1) ** 0.7
    popularity /= popularity.sum()
    timed: list[tuple[float, Click | Search | Purchase]] = []
    number = 0
    while number < events:
        user = int(rng.integers(users))
        ts = start + float(rng.uniform(0, 18 * 3600))
        item = int(rng.choice(items, p=popularity))
        for _ in range(min(events - number, int(rng.integers(4, 16)))):
            event = _make_event(f"e{number}", user, round(ts * 1000), item, rng.random())
            # One in twenty comes late, by up to ten minutes of the shop's time.
            delay = float(rng.uniform(0, 600)) if rng.random() < 0.05 else 0.0
            timed.append((ts + delay, event))
            number += 1
            ts += float(rng.exponential(60))
            item = (item + int(rng.integers(1, 6))) % items
    timed.sort(key=lambda entry: entry[0])
    records = []
    again: list[tuple[int, KafkaRecord]] = []
    for place, (_, event) in enumerate(timed):
        while again and again[0][0] <= place:
            records.append(again.pop(0)[1])
        record = to_record(event)
        records.append(record)
        if rng.random() < 0.02:
            again = sorted([*again, (place + int(rng.integers(1, 400)), record)], key=lambda entry: entry[0])
    records += [record for _, record in again]
    return GeneratedLog(records, {event.user_id for _, event in timed}, len(timed))


def _make_event(event_id: str, user: int, ts: int, item: int, u: float) -> Click | Search | Purchase:
    common: dict[str, Any] = {
        "event_id": event_id,
        "user_id": f"user-{user}",
        "ts": ts,
        "channel": ("web", "app", "store")[user % 3],
        "context": {"country": ("FR", "DE", "JP", "BR")[user % 4]},
    }
    if u < 0.12:
        return Search(query=f"words {item % 7}", results=[f"item-{item}"], **common)
    if u < 0.22:
        lines = [
            OrderLine(item_id=f"item-{item}", quantity=1 + item % 3, price=9.5 + item),
            OrderLine(item_id=f"item-{(item * 7 + 3) % 90}", price=4.25),
        ]
        return Purchase(order_id=f"order-{event_id}", items=lines, currency="EUR", **common)
    action = (Action.VIEW, Action.VIEW, Action.DETAIL, Action.CART)[item % 4]
    return Click(item_id=f"item-{item}", action=action, **common)
