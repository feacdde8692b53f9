"""A shop's clicks, a worker and trainers: the lists get the model, and no fault of a trainer stops them."""

from pathlib import Path
from typing import Final

from state.checkpoint_store import CheckpointStore
from state.snapshots.files import FolderFiles
from stream_app.tools.embedded import EmbeddedServers
from tests.support.faulty_trainer import HELD_AFTER, MOMENTS, held_until
from tests.support.integration_environment import clean_environment
from tests.support.ring_users import RingUsers
from tests.support.trainer_handle import Checkpoints, InteractionLog, TrainerHandle

MAX_CLICKS: Final = 5_000
"""While a trainer is to be killed."""

HOUR: Final = 3_600.0
EARLIER_SESSIONS: Final = 300
"""Of six interactions: two batches more than a trainer reads that is held."""


def test_lists_go_on_whatever_happens_to_the_trainer(servers: EmbeddedServers, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with clean_environment(
        servers, tmp_path, models=["popularity"], fusion="rrf", neural=True, model_store=str(store)
    ) as environment:
        worker = environment.start_worker().wait_until_ready()
        users = RingUsers(environment, worker)
        users.come(80)
        known = 0.0
        for moment in MOMENTS:
            # Each one goes on from what the one before has left behind.
            log = tmp_path / f"{moment}.log"
            with TrainerHandle(environment.settings, store, log, fault=moment) as dying:
                users.wait_for_model_after(known)
                users.come(20)
                listed = users.newest_list()
                assert int(listed.neural_version) > known
                assert any(item.why.source == "similar_taste" for item in listed.items)
                limit = users.n_clicks + MAX_CLICKS
                while dying.process.poll() is None and users.n_clicks < limit:
                    users.come(20)  # without new interactions there is no second checkpoint
                dying.wait_until_killed(f"the trainer to be killed while {moment}")
            known = worker.metric("headrace_neural_model_version")
            users.come(20)
            assert users.newest_list().neural_version == f"{known:.0f}"
            assert worker.metric("headrace_model_refused_total") == 0

        with TrainerHandle(environment.settings, store, tmp_path / "next.log"):
            users.wait_for_model_after(known)
            users.come(20)
            assert int(users.newest_list().neural_version) > known
        assert CheckpointStore(FolderFiles(store / "two-tower")).names()
        assert worker.metric("headrace_model_refused_total") == 0
        processed = [interaction for interaction, _ in environment.interactions()]
        assert len(processed) == users.n_clicks


def test_a_worker_goes_on_with_the_second_trainer_when_the_first_is_killed(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    with clean_environment(servers, tmp_path, neural=True, model_store=str(store)) as environment:
        settings = environment.settings
        checkpoints = Checkpoints(settings.broker, store)
        worker = environment.start_worker().wait_until_ready()
        users = RingUsers(environment, worker)
        users.come(80)
        with TrainerHandle(settings, store, tmp_path / "first.log") as first:
            first.wait_until_active()
            with TrainerHandle(settings, store, tmp_path / "second.log") as second:
                users.wait_for_model_after(0)
                second.wait_until_standing_by()
                users.come(20)
                assert int(users.newest_list().neural_version) > 0
                first.kill()
                # no trainer is active now, until the session of the first has ended
                users.come(20)
                known = worker.metric("headrace_neural_model_version")
                assert users.newest_list().neural_version == f"{known:.0f}"
                second.wait_until_active()
                users.come(20)
                adopted = users.wait_for_model_after(known)
                second.wait_until(
                    lambda: checkpoints.has_learned(users.n_clicks), "a checkpoint with all clicks"
                )
                newest = checkpoints.newest()
                assert newest is not None
                assert newest[1].interactions == users.n_clicks, "each click is learned once"
                users.come(1)
                assert int(users.newest_list().neural_version) >= adopted
                assert worker.metric("headrace_model_refused_total") == 0
        announced = checkpoints.announcements()
        versions = [each.version for each in announced]
        assert versions == sorted(set(versions))
        trainers = list(dict.fromkeys(each.trainer for each in announced))
        assert len(trainers) == 2
        assert [each.trainer for each in announced] == sorted(
            (each.trainer for each in announced), key=trainers.index
        ), "the first announced nothing after the second"
        assert len(environment.interactions()) == users.n_clicks


def test_lists_stay_fresh_beside_a_trainer_an_hour_behind(servers: EmbeddedServers, tmp_path: Path) -> None:
    store, released = tmp_path / "store", tmp_path / "released"
    with clean_environment(servers, tmp_path, neural=True, model_store=str(store)) as environment:
        settings = environment.settings
        checkpoints = Checkpoints(settings.broker, store)
        earlier = InteractionLog(settings.broker, written_before=HOUR)
        earlier.add_sessions(EARLIER_SESSIONS)
        worker = environment.start_worker().wait_until_ready()
        users = RingUsers(environment, worker)
        log = tmp_path / "trainer.log"
        with TrainerHandle(settings, store, log, fault=held_until(released)) as trainer:
            first = users.wait_for_model_after(0)
            users.come(20)
            listed = users.newest_list()
            assert int(listed.neural_version) >= first
            # items that the trainer has not read of yet
            assert any(item.id.startswith("item-") for item in listed.items)
            assert worker.metric("headrace_neural_model_age_seconds") >= HOUR
            assert worker.metric("headrace_model_refused_total") == 0
            assert (trainer.metric("headrace_trainer_lag_records") or 0) >= 6 * EARLIER_SESSIONS - HELD_AFTER
            assert (trainer.metric("headrace_trainer_lag_seconds") or 0) >= HOUR
            assert trainer.has_logged("s behind the logs")
            assert not checkpoints.has_learned(HELD_AFTER + 1)

            released.touch()
            everything = 6 * EARLIER_SESSIONS + users.n_clicks
            trainer.wait_until(lambda: checkpoints.has_learned(everything), "a checkpoint with all clicks")
            trainer.wait_until(lambda: trainer.has_logged("has caught up"), "the trainer to catch up")
            assert trainer.metric("headrace_trainer_lag_seconds") == 0
            worker.wait_until(
                lambda: worker.metric("headrace_neural_model_age_seconds") < HOUR, "a model of now"
            )
            users.come(5)
            assert int(users.newest_list().neural_version) > int(listed.neural_version)
        announced = checkpoints.announcements()
        assert announced[0].lag_seconds >= HOUR
        assert announced[-1].lag_seconds < HOUR
        assert worker.metric("headrace_model_refused_total") == 0
        assert len(environment.interactions()) == 6 * EARLIER_SESSIONS + users.n_clicks
