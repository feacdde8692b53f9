"""Users who are erased in the middle of a log."""

import time
from typing import Final

from stream_app.client.redis_contract import search_key, user_key
from tests.support.generated_log import GeneratedLog
from tests.support.integration_environment import IntegrationEnvironment
from tests.support.kafka_records import sent
from topics.events import Click, Erasure, Search

_AGE_MS: Final = 3_600_000
"""Their events are after those of the log, and in the past also for a clock that is wrong."""

_EVENTS_BETWEEN: Final = 150
"""Events of the log between the first event and the erasure of a user: there is a list to delete."""


def with_erased_users(log: GeneratedLog, n_users: int) -> tuple[GeneratedLog, set[str]]:
    """The log with further users, who have some events and are erased, and these users."""
    records = list(log.records)
    ts = int(time.time() * 1000) - _AGE_MS
    step = len(records) // (n_users + 1)
    erased = [f"erased {number}" for number in range(n_users)]
    for number in reversed(range(n_users)):
        user, at = erased[number], number * step + step // 2
        records.insert(at + _EVENTS_BETWEEN, sent(Erasure, user, ts=ts + 3))
        records[at:at] = [
            sent(Click, user, ts=ts, item_id="item-1"),
            sent(Search, user, ts=ts + 1, query="words 1", results=["item-1", "item-2"]),
            sent(Click, user, ts=ts + 2, item_id="item-2"),
        ]
    return GeneratedLog(records, log.users, log.n_accepted + 4 * n_users), set(erased)


def keys_of_erased(environment: IntegrationEnvironment, erased: set[str]) -> list[str]:
    """The keys of erased users that hold a list."""
    return [
        key
        for user_id in sorted(erased)
        for key in (user_key(user_id), search_key(user_id))
        if environment.read_list(key) is not None
    ]
