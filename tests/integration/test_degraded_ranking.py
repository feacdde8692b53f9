"""A burst of events: degraded lists during the overload, and a full list for each user in the end."""

from pathlib import Path
from typing import Any

from stream_app.client.redis_contract import decode_list
from stream_app.tools.embedded import EmbeddedServers
from tests.support.generated_log import generate_log
from tests.support.integration_environment import IntegrationEnvironment, clean_environment

EVENTS = 3_000
N_USERS = 120
FLUSH_USERS = 16
MODELS = '["popularity","item_to_item","session_knn"]'


def read_lists(environment: IntegrationEnvironment) -> list[tuple[str, str]]:
    """Key and policy of every list in Redis."""
    keys: Any = sorted(environment.redis.scan_iter(match="recs:*", count=1_000))
    values: Any = environment.redis.mget(keys) if keys else []
    return [(found.key, found.policy) for found in (decode_list(raw) for raw in values if raw is not None)]


def test_users_in_a_burst_get_degraded_lists_and_are_reranked_afterwards(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    log = generate_log(EVENTS, users=N_USERS)
    # degraded lists need the session model; with few other models the worker starts sooner
    with clean_environment(
        servers, tmp_path, models=MODELS, fusion="rrf", flush_users=FLUSH_USERS
    ) as environment:
        worker = environment.start_worker().wait_until_ready()
        environment.send(log.records)
        worker.wait_until(lambda: worker.metric("headrace_lists_degraded_total") > 0, "a degraded list")
        worker.wait_until(lambda: worker.events("accepted") == log.n_accepted, "the burst to be handled")

        worker.wait_until(
            lambda: (
                worker.metric("headrace_pending_users") == 0 and worker.metric("headrace_degraded_users") == 0
            ),
            "all users to be re-ranked",
        )
        worker.wait_until(
            lambda: (
                environment.user_lists(log.users).keys() == log.users
                and "degraded" not in {policy for _, policy in read_lists(environment)}
            ),
            "the last list and the last re-ranked list to be in Redis",
        )
        assert worker.metric("headrace_lists_degraded_total") > FLUSH_USERS, "it was a burst"
        assert worker.terminate() == 0, worker.log
