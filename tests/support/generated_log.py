"""A generated log of a shop's events, as Kafka records."""

import functools
import time
from typing import Any, Final, NamedTuple

import numpy as np

from stream_app.models.repeated_choices import WIDTH
from tests.support.kafka_records import KafkaRecord, to_record
from topics.events import Action, Click, Feedback, FeedbackKind, OrderLine, Purchase, Search

ITEMS_OF_USER: Final = WIDTH - 2
"""Different items of a user: with more than the models count, they depend on the order of views and purchases."""


_Event = Click | Feedback | Search | Purchase


class GeneratedLog(NamedTuple):
    """The records of one day of a shop."""

    records: list[KafkaRecord]
    users: set[str]
    n_accepted: int
    """Number of events with an interaction, without duplicates."""
    erased: frozenset[str] = frozenset()
    """Users who are erased at the end of the log; they are not among `users`."""


@functools.cache
def generate_log(events: int, *, users: int = 500, items: int = 90, seed: int = 11) -> GeneratedLog:
    """Sessions of users over the last day: searches, clicks, purchases, opinions; some are late, some sent twice.

    There are fewer items than the neighbor limit of an item, so that no neighbor is pruned, fewer events per user
    than the deduplication ring holds, and fewer items of a user than the models count.
    """
    rng = np.random.default_rng(seed)
    start = time.time() - 20 * 3600
    popularity = 1.0 / np.arange(1, items + 1) ** 0.7
    popularity /= popularity.sum()
    timed: list[tuple[float, _Event]] = []
    number = 0
    while number < events:
        user = int(rng.integers(users))
        ts = start + float(rng.uniform(0, 18 * 3600))
        item = int(rng.choice(items, p=popularity))
        for _ in range(min(events - number, int(rng.integers(4, 16)))):
            event = _make_event(f"e{number}", user, round(ts * 1000), item, rng.random())
            # One in twenty is late by up to ten minutes.
            delay = float(rng.uniform(0, 600)) if rng.random() < 0.05 else 0.0
            timed.append((ts + delay, event))
            number += 1
            ts += float(rng.exponential(60))
            item = (item + int(rng.integers(1, 6))) % items
    timed.sort(key=lambda entry: entry[0])
    records = []
    duplicates: list[tuple[int, KafkaRecord]] = []
    for index, (_, event) in enumerate(timed):
        while duplicates and duplicates[0][0] <= index:
            records.append(duplicates.pop(0)[1])
        record = to_record(event)
        records.append(record)
        if rng.random() < 0.02:
            duplicates = sorted(
                [*duplicates, (index + int(rng.integers(1, 400)), record)], key=lambda entry: entry[0]
            )
    records += [record for _, record in duplicates]
    return GeneratedLog(records, {event.user_id for _, event in timed}, len(timed))


def _make_event(event_id: str, user: int, ts: int, item: int, u: float) -> _Event:
    first = 7 * user
    other = (first + (item * 7 + 3) % ITEMS_OF_USER) % 90
    item = (first + item % ITEMS_OF_USER) % 90
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
            OrderLine(item_id=f"item-{other}", price=4.25),
        ]
        return Purchase(order_id=f"order-{event_id}", items=lines, currency="EUR", **common)
    if u < 0.27:
        kind = (FeedbackKind.LIKE, FeedbackKind.LIKE, FeedbackKind.DISLIKE, FeedbackKind.HIDE)[item % 4]
        return Feedback(item_id=f"item-{other}", kind=kind, **common)
    action = (Action.VIEW, Action.VIEW, Action.DETAIL, Action.CART)[item % 4]
    return Click(item_id=f"item-{item}", action=action, **common)
