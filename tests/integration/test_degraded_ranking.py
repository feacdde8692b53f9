"""More events than lists can be made for: lists in a hurry while it lasts, and every list made well in the end."""

from pathlib import Path
from typing import Any

from stream_app.client.redis_contract import decode_list
from stream_app.tools.embedded import EmbeddedServers
from tests.support.integration_environment import Stage, clean_stage, shop_log

EVENTS = 3_000
SHOPPERS = 120
FLUSH = 16
MODELS = '["popularity","item_to_item","session_knn"]'


def lists(stage: Stage) -> list[tuple[str, str]]:
    """Key and policy of every list in Redis."""
    keys: Any = sorted(stage.redis.scan_iter(match="recs:*", count=1_000))
    values: Any = stage.redis.mget(keys) if keys else []
    return [(found.key, found.policy) for found in (decode_list(raw) for raw in values if raw is not None)]


def test_lists_of_a_burst_are_made_in_a_hurry_and_again_when_it_is_over(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    log = shop_log(EVENTS, users=SHOPPERS)
    # the session model is what lists in a hurry go by; with few others beside it the worker starts sooner
    with clean_stage(servers, tmp_path, models=MODELS, fusion="rrf", flush_users=FLUSH) as stage:
        worker = stage.start_worker().await_ready()
        stage.send(log.records)
        worker.wait_until(lambda: worker.metric("headrace_lists_hurried_total") > 0, "a list in a hurry")
        worker.wait_until(lambda: worker.events("accepted") == log.taken, "the burst to be taken")

        worker.wait_until(
            lambda: (
                worker.metric("headrace_dirty_users") == 0 and worker.metric("headrace_hurried_users") == 0
            ),
            "every list to be made again",
        )
        worker.wait_until(
            lambda: "hurried" not in {policy for _, policy in lists(stage)},
            "the last of them to be in Redis",
            seconds=5,
        )
        assert worker.metric("headrace_lists_hurried_total") > FLUSH, "it was a burst"
        assert stage.lists_of(log.users).keys() == log.users
        assert worker.terminate() == 0, worker.log
