"""Two workers follow the assignments of policies that are published while they run."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from stream_app.experiment.assignment import Assignment
from stream_app.kafka.event_records import event_record
from stream_app.tools.embedded import EmbeddedServers
from tests.support.crash_runs import ADDITIVE
from tests.support.integration_environment import IntegrationEnvironment, clean_environment
from tests.support.kafka_records import KafkaRecord
from tests.support.worker_handle import WorkerHandle
from topics.events import Click, Event, Impression

POLICIES: Final = {"fixed": 1.0, "thompson": 0.0, "popularity": 0.0}
USERS: Final = tuple(f"user {n}" for n in range(240))
TIMEOUT: Final = 120.0


class ShopUsers:
    """Users who send events and see their lists."""

    def __init__(self, environment: IntegrationEnvironment, workers: Sequence[WorkerHandle]) -> None:
        self._environment = environment
        self._workers = workers
        self._numbers = count()
        self.owners: dict[str, WorkerHandle] = {}

    def find_owners(self) -> None:
        """Find the worker of each user: one click per partition raises the event count of one worker."""
        record_ids = self._environment.send(map(self._click, USERS))
        partition = dict(zip(USERS, (at for at, _ in record_ids), strict=True))
        one_of = {at: user_id for user_id, at in partition.items()}
        owner: dict[int, WorkerHandle] = {}
        events = len(USERS)
        before = self._accepted_counts(events)
        for at, user_id in one_of.items():
            self._environment.send([self._click(user_id)])
            events += 1
            after = self._accepted_counts(events)
            [owner[at]] = [
                worker for worker, old, new in zip(self._workers, before, after, strict=True) if new > old
            ]
            before = after
        self.owners = {user_id: owner[at] for user_id, at in partition.items()}

    def _accepted_counts(self, events: int) -> list[float]:
        """Events consumed by each worker, once the total is reached."""
        counts: list[float] = []

        def all_accepted() -> bool:
            counts[:] = [each.events("accepted") for each in self._workers]
            return sum(counts) == events

        self._workers[0].wait_until(all_accepted, f"{events} events to be accepted", seconds=TIMEOUT)
        return counts.copy()

    def _click(self, user_id: str, item: str = "", list_id: str | None = None) -> KafkaRecord:
        number = next(self._numbers)
        return self._record(
            Click(
                event_id=f"e{number}",
                user_id=user_id,
                ts=int(time.time() * 1000),
                item_id=item or f"item {number % 30}",
                list_id=list_id,
            )
        )

    def _record(self, event: Event) -> KafkaRecord:
        record = event_record(event)
        return KafkaRecord(record.topic, record.key, record.value)

    def await_assignment(self, weights: Mapping[str, float], why: str, *, paused: Iterable[str] = ()) -> None:
        """Wait until every worker reports the split; each user clicks and gets a list of their policy."""
        assignment, paused_policies = Assignment(weights), set(paused)

        def splits(worker: WorkerHandle) -> bool:
            ratios = [(name, worker.metric("headrace_policy_share_ratio", policy=name)) for name in POLICIES]
            reported = {
                name for name in POLICIES if worker.metric("headrace_policy_paused", policy=name) == 1
            }
            return reported == paused_policies and all(
                abs(share - assignment.fraction(name)) < 1e-9 for name, share in ratios
            )

        for worker in self._workers:
            worker.wait_until(partial(splits, worker), f"a worker to split {why}", seconds=TIMEOUT)
        earlier_ids = {each.list_id for each in self._environment.user_lists(USERS).values()}
        self._environment.send(map(self._click, USERS))
        for worker in self._workers:
            expected = {
                user_id: assignment.policy_of(user_id)
                for user_id, owner in self.owners.items()
                if owner is worker
            }
            assert set(expected.values()) == set(weights)
            worker.wait_until(
                partial(self._has_policies, expected, earlier_ids),
                f"a worker's lists to be split {why}",
                seconds=TIMEOUT,
            )

    def _has_policies(self, expected: Mapping[str, str], earlier_ids: set[str]) -> bool:
        """Whether the users have lists of these policies that are newer than their clicks."""
        lists = self._environment.user_lists(expected)
        return {user_id: each.policy for user_id, each in lists.items()} == expected and not any(
            each.list_id in earlier_ids for each in lists.values()
        )

    def react(self, liked_policies: Iterable[str]) -> None:
        """All users see their lists; those of the liked policies click the first item."""
        liked, records = set(liked_policies), []
        for user_id, listed in self._environment.user_lists(USERS).items():
            seen = Impression(
                event_id=f"e{next(self._numbers)}",
                user_id=user_id,
                ts=int(time.time() * 1000),
                list_id=listed.list_id,
            )
            records.append(self._record(seen))
            if listed.policy in liked:
                records.append(self._click(user_id, listed.items[0].id, listed.list_id))
        self._environment.send(records)


def counts(worker: WorkerHandle, users: Mapping[str, int]) -> bool:
    """Whether a worker reports these numbers of users with a displayed list, by policy, since the split changed."""
    return {name: worker.metric("headrace_policy_users", policy=name) for name in POLICIES} == users


def run_policies_command(environment: IntegrationEnvironment, *words: str) -> None:
    status, output = environment.run_command("policies", *words)
    assert status == 0, output


def test_policy_changes_apply_to_every_worker(servers: EmbeddedServers, tmp_path: Path) -> None:
    with clean_environment(
        servers, tmp_path, models=ADDITIVE, fusion="rrf", policies=json.dumps(POLICIES)
    ) as environment:
        workers = (environment.start_worker(1), environment.start_worker(2))
        for worker in (*workers, *workers):  # the first one is not ready during the rebalance
            worker.wait_until_ready()
        shop = ShopUsers(environment, workers)
        shop.find_owners()
        assert set(shop.owners.values()) == set(workers)
        shop.await_assignment({"fixed": 1.0}, "by the settings")
        run_policies_command(environment, "pause", "thompson")
        shop.await_assignment({"fixed": 1.0}, "by the settings, with a pause", paused=["thompson"])
        run_policies_command(environment, "resume", "thompson")

        run_policies_command(environment, "share", "fixed=1", "thompson=3", "--note", "a trial")
        shop.await_assignment({"fixed": 1.0, "thompson": 3.0}, "by the operator")
        assert all(each.has_logged("author operator; reason: a trial") for each in workers)
        run_policies_command(environment, "pause", "thompson")
        shop.await_assignment({"fixed": 1.0}, "without the paused policy", paused=["thompson"])

        run_policies_command(environment, "share", "fixed=1", "popularity=1", "thompson=1")
        shop.await_assignment(
            {"fixed": 1.0, "popularity": 1.0}, "before the guardrail pauses a policy", paused=["thompson"]
        )
        shop.react(liked_policies=["fixed"])
        shop.await_assignment(
            {"fixed": 1.0}, "after the pause by the guardrail", paused=["thompson", "popularity"]
        )
        for worker in workers:
            assert worker.has_logged(
                "author guardrail; reason: policy popularity paused: its value per list is 0 ["
            )

        # the guardrail exempts the resumed policy, though its reward is still low
        run_policies_command(environment, "resume", "popularity", "thompson")
        shop.await_assignment(
            {"fixed": 1.0, "popularity": 1.0, "thompson": 1.0}, "after the operator resumes both"
        )

        # metrics start now, in running workers and in one that reads the whole log
        assignment = Assignment(dict.fromkeys(POLICIES, 1.0))
        expected_users = Counter(map(assignment.policy_of, USERS))
        shop.react(liked_policies=["fixed", "thompson"])
        for worker in workers:
            worker.wait_until(
                partial(counts, worker, expected_users),
                "a worker to count from the new split",
                seconds=TIMEOUT,
            )
        workers[1].kill()
        shutil.rmtree(environment.data_dir(2))
        fresh = environment.start_worker(2).wait_until_ready()
        fresh.wait_until(
            partial(counts, fresh, expected_users), "a new worker to count the same", seconds=TIMEOUT
        )
        status, ratios = environment.run_command("policies", "--json")
        assert status == 0, ratios
        document = json.loads(ratios[ratios.index("{") :])
        assert {name: document["policies"][name]["users"] for name in POLICIES} == expected_users
