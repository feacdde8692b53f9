"""Users who react to their lists, and users who are erased, in the runs that are compared.

A reaction is rewarded for a list, and the lists of two runs have the same items only while nothing else happens. So
before the log of a run begins, its users have got their lists, and each has reacted to a list once: this list is
retained then, however often workers start. The other reactions and the erasures are sent in between the log, while
a test kills, stops or adds workers and servers. Each user reacts by one kind of event besides impressions, since the
topics are not read in one order.
"""

import functools
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from tests.support.generated_log import GeneratedLog
from tests.support.integration_environment import FUSED_ORDER, IntegrationEnvironment
from tests.support.kafka_records import KafkaRecord, to_record
from tests.support.worker_handle import WorkerHandle
from topics.catalog import IMPRESSIONS
from topics.events import (
    Action,
    Click,
    Erasure,
    Event,
    Feedback,
    FeedbackKind,
    Impression,
    OrderLine,
    Purchase,
    Search,
)
from topics.records import RecommendationList

REACTING: Final[dict[str, object]] = {
    # Lists in the fused order, with the features that policies learn from; only a reaction that names its list is
    # rewarded: for others, it depends on the moment at which each list is published.
    "policies": {**FUSED_ORDER, "thompson": 0.0},
    "reward_require_list_id": True,
}
"""Settings of a run with reactions."""

_N_REACTING: Final = 48
_N_ERASED: Final = 16
_ITEMS: Final = 90
_CLICKS: Final = 3
_SPACING_MS: Final = 20_000
"""Between two events: no two items are equally popular."""

_MIN_ITEMS: Final = 10
"""On the list of each user."""


@functools.cache
def _begin() -> int:
    """When the first of them comes, milliseconds since the epoch: the same in all runs of a process.

    At the end of the log, and in the past also for a clock that is wrong by less than an hour.
    """
    return int((time.time() - 2.9 * 3_600) * 1000)


class _Events:
    """Events with ids and times that are the same in each run."""

    def __init__(self) -> None:
        self._n = 0

    def __call__(self, event_type: Callable[..., Event], user_id: str, **fields: Any) -> KafkaRecord:
        self._n += 1
        ts = _begin() + self._n * _SPACING_MS // 2
        return to_record(event_type(event_id=f"reacting-{self._n}", user_id=user_id, ts=ts, **fields))


def with_reactions(
    environment: IntegrationEnvironment, log: GeneratedLog, *workers: WorkerHandle
) -> GeneratedLog:
    """Publish lists for users of their own, and return the log with their reactions and erasures in between.

    Parameters
    ----------
    environment
        A run with the settings `REACTING`, in which nothing has happened.
    log
        What else is to be sent.
    *workers
        All workers of the run; they are ready.
    """
    event = _Events()
    reacting = [f"reacting {n}" for n in range(_N_REACTING)]
    erased = [f"erased {n}" for n in range(_N_ERASED)]
    users = [*reacting, *erased]
    before: list[KafkaRecord] = []

    def send_and_wait(records: Sequence[KafkaRecord]) -> None:
        before.extend(records)
        environment.send(records)
        workers[0].wait_until(
            lambda: environment.uncommitted() == 0, "the events to be committed", seconds=240
        )

    send_and_wait(
        [
            event(Click, user, item_id=f"item-{(7 * n + 11 * click) % _ITEMS}")
            for click in range(_CLICKS)
            for n, user in enumerate(users)
        ]
    )
    for worker in workers:
        worker.wait_until(partial(_has_learned, worker, _CLICKS * len(users)), "all clicks to be learned")
    # A search changes no popularity and no neighbors: the lists after it are those of all clicks.
    send_and_wait([event(Search, user, query=f"private {user}") for user in users])
    lists = _final_lists(environment, users, workers[0])
    send_and_wait(
        [event(Click, user, item_id=lists[user].items[2].id, list_id=lists[user].list_id) for user in users]
    )
    send_and_wait([record for user in erased for record in _of_erased(event, user, lists[user])])
    records = [
        record for n, user in enumerate(reacting) for record in _reactions(event, n, user, lists[user])
    ]
    records += [event(Erasure, user) for user in erased]
    return GeneratedLog(
        _interleaved(log.records, records),
        log.users | set(reacting),
        log.n_accepted + _n_interactions([*before, *records]),
        frozenset(erased),
    )


def _has_learned(worker: WorkerHandle, n_interactions: int) -> bool:
    return worker.metric("headrace_interactions_folded_total") >= n_interactions


def _final_lists(
    environment: IntegrationEnvironment, users: Sequence[str], worker: WorkerHandle
) -> dict[str, RecommendationList]:
    """The lists, once each was ranked by the models of all clicks, and none is degraded."""
    found: dict[str, RecommendationList] = {}

    def are_there() -> bool:
        found.update(environment.user_lists(users))
        return found.keys() == set(users) and all(
            each.model_version >= _CLICKS * len(users) and each.policy in FUSED_ORDER
            for each in found.values()
        )

    worker.wait_until(are_there, "lists of all clicks")
    assert all(len(each.items) >= _MIN_ITEMS for each in found.values())
    return found


def _of_erased(event: _Events, user: str, listed: RecommendationList) -> list[KafkaRecord]:
    """What a user does who will be erased."""
    items = [item.id for item in listed.items]
    line = OrderLine(item_id=items[2], price=10.0, quantity=2)
    return [
        event(Impression, user, list_id=listed.list_id),
        event(Purchase, user, list_id=listed.list_id, order_id=f"order of {user}", items=[line]),
        event(Feedback, user, list_id=listed.list_id, item_id=items[0], kind=FeedbackKind.LIKE),
    ]


def _reactions(event: _Events, n: int, user: str, listed: RecommendationList) -> list[KafkaRecord]:
    """The reactions of a user; an event of each is sent twice."""
    items = [item.id for item in listed.items]
    impressions = [
        event(Impression, user, list_id=listed.list_id, items=items[:6], surface="home"),
        event(Impression, user, list_id=listed.list_id),
    ]
    named: dict[str, Any] = {"list_id": listed.list_id}
    records: list[KafkaRecord]
    match n % 4:
        case 0:
            return [*impressions, impressions[0]]
        case 1:
            actions = ((0, Action.VIEW), (4, Action.DETAIL), (4, Action.CART), (7, Action.WISHLIST))
            records = [
                event(Click, user, item_id=items[rank], action=action, **named) for rank, action in actions
            ]
        case 2:
            lines = [OrderLine(item_id=items[rank], price=10.0, quantity=1 + rank) for rank in (1, 2)]
            records = [event(Purchase, user, order_id=f"order of {user}", items=lines, **named)]
        case _:
            kinds = ((0, FeedbackKind.LIKE), (1, FeedbackKind.HIDE), (5, FeedbackKind.DISLIKE))
            records = [event(Feedback, user, item_id=items[rank], kind=kind, **named) for rank, kind in kinds]
    return [*records, records[-1], *(impressions if n % 8 < 4 else [])]


def _interleaved(records: Sequence[KafkaRecord], further: Sequence[KafkaRecord]) -> list[KafkaRecord]:
    """Both, in an order that is the same in each run; the records keep theirs."""
    rng = np.random.default_rng(5)
    merged = np.zeros(len(records) + len(further), np.bool_)
    merged[rng.choice(len(merged), len(further), replace=False)] = True
    order, of_records = iter(rng.permutation(len(further)).tolist()), iter(records)
    return [further[next(order)] if is_further else next(of_records) for is_further in merged.tolist()]


def _n_interactions(records: Sequence[KafkaRecord]) -> int:
    """The number of events with an interaction, without duplicates."""
    return len({record.value for record in records if record.topic != IMPRESSIONS.name})
