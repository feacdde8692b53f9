"""The clicks that one user repeats move no list of others, on real servers and with the default configuration."""

import time
from pathlib import Path
from typing import Final

from stream_app.client.redis_contract import decode_list, popular_key
from stream_app.settings import load_settings
from stream_app.tools.embedded import EmbeddedServers
from tests.support.integration_environment import IntegrationEnvironment, clean_environment
from tests.support.kafka_records import to_record
from topics.events import Click

ITEMS: Final = [f"item {number}" for number in range(40)]
USERS: Final = [f"user {number}" for number in range(50)]
REPEATED: Final = "<b>mine</b>"
N_REPETITIONS: Final = 300
TOP: Final = 10


def click(event_id: str, user: str, item: str) -> Click:
    return Click(event_id=event_id, user_id=user, ts=int(time.time() * 1000), item_id=item)


def visits() -> list[Click]:
    """Four items of each user: each item has five users."""
    return [
        click(f"visit {number} {at}", user, ITEMS[(4 * number + at) % len(ITEMS)])
        for number, user in enumerate(USERS)
        for at in range(4)
    ]


def popular(environment: IntegrationEnvironment) -> list[str]:
    raw = environment.redis.get(popular_key())
    return [] if raw is None else [item.id for item in decode_list(raw).items]


def test_300_clicks_of_one_user_put_their_item_on_top_of_few_lists_of_others(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    with clean_environment(servers, tmp_path, policies=load_settings().policies) as environment:
        worker = environment.start_worker().wait_until_ready()
        repeated = [click(f"repeated {number}", "eager", REPEATED) for number in range(N_REPETITIONS)]
        sent = [*visits(), click("first", "eager", ITEMS[0]), *repeated]
        environment.send(map(to_record, sent))
        worker.wait_until(lambda: worker.events("accepted") == len(sent), "the clicks to be processed")
        # Each user returns, so that each list is ranked after the repetitions.
        environment.send(to_record(click(f"return {user}", user, ITEMS[7])) for user in USERS)
        worker.wait_until(lambda: worker.events("accepted") == len(sent) + len(USERS), "the users to return")
        worker.wait_until(
            lambda: (
                worker.metric("headrace_pending_users") == 0
                and worker.metric("headrace_pending_items") == 0
                and worker.metric("headrace_degraded_users") == 0
                and environment.user_lists(USERS).keys() == set(USERS)
                and ITEMS[7] in popular(environment)[:3]
            ),
            "all lists to be published",
        )
        lists = environment.user_lists(USERS)
        # The policies try an item that few have seen on a list now and then, wherever it comes from.
        displayed = [user for user in USERS if REPEATED in [item.id for item in lists[user].items[:TOP]]]
        assert REPEATED not in popular(environment)
        assert len(displayed) <= len(USERS) // 10, displayed
        assert worker.terminate() == 0, worker.log
