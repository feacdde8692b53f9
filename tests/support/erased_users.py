"""Users who are erased in the middle of a log."""

import time
from collections.abc import Collection
from typing import Final

from stream_app.client.redis_contract import search_key, user_key
from tests.support.generated_log import GeneratedLog
from tests.support.integration_environment import IntegrationEnvironment
from tests.support.kafka_records import sent
from topics.events import Click, Erasure, Search

_AGE_MS: Final = 3_600_000
"""Their events are after those of the log, and in the past also for a clock that is wrong."""


def with_erased_users(log: GeneratedLog, n_users: int) -> tuple[GeneratedLog, set[str]]:
    """The log with further users, who have events at its begin and are erased one after the other; and these users.

    What is read after the erasure is not learned: near to it, the models would differ from those of another run.
    """
    ts = int(time.time() * 1000) - _AGE_MS
    erased = [f"erased {number}" for number in range(n_users)]
    step = len(log.records) // (n_users + 1)
    parts = [log.records[number * step : (number + 1) * step] for number in range(n_users)]
    rest = log.records[n_users * step :]
    records = [
        record
        for user in erased
        for record in (
            sent(Click, user, ts=ts, item_id="item-1"),
            sent(Search, user, ts=ts + 1, query="words 1", results=["item-1", "item-2"]),
            sent(Click, user, ts=ts + 2, item_id="item-2"),
        )
    ]
    for user, part in zip(erased, parts, strict=True):
        records += [*part, sent(Erasure, user, ts=ts + 3)]
    records += rest
    return GeneratedLog(records, log.users, log.n_accepted + 4 * n_users), set(erased)


def keys_of_erased(environment: IntegrationEnvironment, erased: Collection[str]) -> list[str]:
    """The keys of erased users that hold a list."""
    return [
        key
        for user_id in sorted(erased)
        for key in (user_key(user_id), search_key(user_id))
        if environment.read_list(key) is not None
    ]
