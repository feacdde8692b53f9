"""A worker whose settings name a recommender and a bandit policy of River."""

from pathlib import Path
from typing import Final

from stream_app.tools.embedded import EmbeddedServers
from tests.support.integration_environment import clean_environment
from tests.support.ring_users import RingUsers
from tests.support.worker_handle import WorkerHandle
from topics.records import RecommendationList

MODEL: Final = "river:reco.BiasedMF"
POLICY: Final = "river:bandit.UCB"


def list_of_policy(users: RingUsers, worker: WorkerHandle) -> RecommendationList:
    """The newest user's list; one that was degraded under the burst of clicks is ranked again."""
    worker.wait_until(lambda: users.newest_list().policy == POLICY, "a list of the policy")
    return users.newest_list()


def test_a_worker_ranks_by_a_recommender_and_a_policy_of_river_and_goes_on_after_a_restart(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    with clean_environment(
        servers,
        tmp_path,
        models=["popularity", MODEL],
        model_parameters={MODEL: {"n_factors": 8, "latent_optimizer": "optim.SGD(0.1)"}},
        fusion="rrf",
        policies={POLICY: 1.0},
        policy_parameters={POLICY: {"delta": 0.1}},
    ) as environment:
        for _ in range(2):
            worker = environment.start_worker().wait_until_ready()
            users = RingUsers(environment, worker)
            users.come(60)
            listed = list_of_policy(users, worker)
            assert "factors" in {item.why.source for item in listed.items}
            assert all(0 < item.propensity <= 1 for item in listed.items)
            assert worker.terminate() == 0, worker.log
