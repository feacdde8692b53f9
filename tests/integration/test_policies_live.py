"""Two workers, and what is said of policies while they run: both split their shoppers by the newest word."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from stream_app.experiment.assignment import Shares
from stream_app.kafka.event_records import event_record
from stream_app.tools.embedded import EmbeddedServers
from tests.support.integration_environment import ADDITIVE, Outgoing, Stage, Worker, clean_stage
from topics.events import Click, Event, Impression

POLICIES: Final = {"fixed": 1.0, "thompson": 0.0, "popularity": 0.0}
SHOPPERS: Final = tuple(f"shopper {n}" for n in range(240))
SECONDS: Final = 20.0


class Shop:
    """The shoppers, who send events and look at their lists."""

    def __init__(self, stage: Stage, workers: Sequence[Worker]) -> None:
        self._stage = stage
        self._workers = workers
        self._numbers = count()
        self.owners: dict[str, Worker] = {}

    def find_owners(self) -> None:
        """Note which worker has which shopper: one click in each partition, and whose count of events goes up."""
        places = self._stage.send(map(self._click, SHOPPERS))
        partition = dict(zip(SHOPPERS, (at for at, _ in places), strict=True))
        one_of = {at: who for who, at in partition.items()}
        owner: dict[int, Worker] = {}
        events = len(SHOPPERS)
        before = self._taken(events)
        for at, who in one_of.items():
            self._stage.send([self._click(who)])
            events += 1
            after = self._taken(events)
            [owner[at]] = [
                worker for worker, old, new in zip(self._workers, before, after, strict=True) if new > old
            ]
            before = after
        self.owners = {who: owner[at] for who, at in partition.items()}

    def _taken(self, events: int) -> list[float]:
        """What each worker has taken, as soon as that is so many together."""
        counts: list[float] = []

        def all_taken() -> bool:
            counts[:] = [each.events("accepted") for each in self._workers]
            return sum(counts) == events

        self._workers[0].wait_until(all_taken, f"{events} events to be taken", seconds=SECONDS)
        return counts.copy()

    def _click(self, who: str, item: str = "", list_id: str | None = None) -> Outgoing:
        number = next(self._numbers)
        return self._sent(
            Click(
                event_id=f"e{number}",
                user_id=who,
                ts=int(time.time() * 1000),
                item_id=item or f"item {number % 30}",
                list_id=list_id,
            )
        )

    def _sent(self, event: Event) -> Outgoing:
        record = event_record(event)
        return Outgoing(record.topic, record.key, record.value)

    def await_split(self, weights: Mapping[str, float], why: str, *, resting: Iterable[str] = ()) -> None:
        """Once every worker says that it splits so: each shopper clicks, and has a list of their policy."""
        shares, at_rest = Shares(weights), set(resting)

        def splits(worker: Worker) -> bool:
            told = [(name, worker.metric("headrace_policy_share_ratio", policy=name)) for name in POLICIES]
            rests = {name for name in POLICIES if worker.metric("headrace_policy_resting", policy=name) == 1}
            return rests == at_rest and all(abs(share - shares.fraction(name)) < 1e-9 for name, share in told)

        for worker in self._workers:
            worker.wait_until(partial(splits, worker), f"a worker to split {why}", seconds=SECONDS)
        self._stage.send(map(self._click, SHOPPERS))
        for worker in self._workers:
            wanted = {who: shares.policy_of(who) for who, owner in self.owners.items() if owner is worker}
            assert set(wanted.values()) == set(weights)
            worker.wait_until(
                partial(self._listed, wanted), f"a worker's lists to be split {why}", seconds=SECONDS
            )

    def _listed(self, wanted: Mapping[str, str]) -> bool:
        """Whether the lists of shoppers, as they stand in Redis, are of these policies."""
        return {who: each.policy for who, each in self._stage.lists_of(wanted).items()} == wanted

    def react(self, likes: Iterable[str]) -> None:
        """Everybody sees their list; those who have one of a policy that is liked click its first item."""
        liked, records = set(likes), []
        for who, listed in self._stage.lists_of(SHOPPERS).items():
            seen = Impression(
                event_id=f"e{next(self._numbers)}",
                user_id=who,
                ts=int(time.time() * 1000),
                list_id=listed.list_id,
            )
            records.append(self._sent(seen))
            if listed.policy in liked:
                records.append(self._click(who, listed.items[0].id, listed.list_id))
        self._stage.send(records)


def counts(worker: Worker, shoppers: Mapping[str, int]) -> bool:
    """Whether a worker tells that so many shoppers saw a list of each policy since they were split anew."""
    return {name: worker.metric("headrace_policy_shoppers", policy=name) for name in POLICIES} == shoppers


def say(stage: Stage, *words: str) -> None:
    status, said = stage.headrace("policies", *words)
    assert status == 0, said


def test_what_is_said_of_policies_holds_on_every_worker_and_the_guard_speaks_for_all(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    with clean_stage(
        servers, tmp_path, models=ADDITIVE, fusion="rrf", policies=json.dumps(POLICIES)
    ) as stage:
        workers = (stage.start_worker(1), stage.start_worker(2))
        for worker in (*workers, *workers):  # whichever was there first is not ready while the other comes in
            worker.await_ready()
        shop = Shop(stage, workers)
        shop.find_owners()
        assert set(shop.owners.values()) == set(workers)
        shop.await_split({"fixed": 1.0}, "as the settings say")
        say(stage, "rest", "thompson")
        shop.await_split({"fixed": 1.0}, "as the settings say still", resting=["thompson"])
        say(stage, "resume", "thompson")

        say(stage, "share", "fixed=1", "thompson=3", "--note", "a trial")
        shop.await_split({"fixed": 1.0, "thompson": 3.0}, "as the operator says")
        assert all("by the operator: a trial" in each.log for each in workers)
        say(stage, "rest", "thompson")
        shop.await_split({"fixed": 1.0}, "without the policy at rest", resting=["thompson"])

        say(stage, "share", "fixed=1", "popularity=1", "thompson=1")
        shop.await_split({"fixed": 1.0, "popularity": 1.0}, "before the guard speaks", resting=["thompson"])
        shop.react(likes=["fixed"])
        shop.await_split({"fixed": 1.0}, "by the guard's word too", resting=["thompson", "popularity"])
        for worker in workers:
            assert "by the guard: policy popularity rests: its value per list is 0 [" in worker.log

        # the guard lets go of the one that it has put to rest, though that does badly still
        say(stage, "resume", "popularity", "thompson")
        shop.await_split({"fixed": 1.0, "popularity": 1.0, "thompson": 1.0}, "as the operator insists")

        # what comes from now on is all that counts, on those that were there and on one that reads it all again
        shares = Shares(dict.fromkeys(POLICIES, 1.0))
        of_each = Counter(map(shares.policy_of, SHOPPERS))
        shop.react(likes=["fixed", "thompson"])
        for worker in workers:
            worker.wait_until(partial(counts, worker, of_each), "a worker to count anew", seconds=SECONDS)
        workers[1].kill()
        shutil.rmtree(stage.data_dir(2))
        fresh = stage.start_worker(2).await_ready()
        fresh.wait_until(partial(counts, fresh, of_each), "a new worker to count the same", seconds=SECONDS)
        status, told = stage.headrace("policies", "--json")
        assert status == 0, told
        shown = json.loads(told[told.index("{") :])
        assert {name: shown["policies"][name]["shoppers"] for name in POLICIES} == of_each
