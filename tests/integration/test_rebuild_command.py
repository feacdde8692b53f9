"""`headrace rebuild` against a real broker, next to a running worker."""

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from state.snapshots.store import folder_store
from stream_app.ranking.assembly import make_models
from stream_app.settings import child_environment, load_settings
from stream_app.tools.embedded import EmbeddedServers
from stream_app.worker.model_loading import load_models
from tests.support.generated_log import GeneratedLog, generate_log
from tests.support.integration_environment import (
    COMMAND_SECONDS,
    FUSED_ORDER,
    IntegrationEnvironment,
    clean_environment,
)
from tests.support.log_feeder import LogFeeder
from tests.support.worker_handle import WorkerHandle
from topics.records import Interaction, Kind, Line, Source

pytestmark = pytest.mark.integration

MODELS: Final = ["popularity", "item_to_item", "session_knn", "search"]
NEW_PARAMETERS: Final = {"item_to_item": {"depth": 5}, "session_knn": {"postings": 120}}
RATE: Final = 2_000.0


def headrace(environment: IntegrationEnvironment, *arguments: str, **settings: Any) -> tuple[int, str]:
    """Run a command with the settings and the store of the worker."""
    done = subprocess.run(
        [sys.executable, "-m", "stream_app", *arguments],
        env=child_environment(
            app_id=environment.settings.app_id,
            broker=environment.settings.broker,
            models=MODELS,
            policies=FUSED_ORDER,
            model_store=environment.data_dir() / "models",
            **settings,
        )
        | {"COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def feed(environment: IntegrationEnvironment, worker: WorkerHandle, log: GeneratedLog) -> None:
    with LogFeeder(environment, log.records, rate=RATE):
        pass
    worker.wait_until(lambda: environment.uncommitted() == 0, "all events to be committed", seconds=240)


def results_of(output: str) -> dict[str, str]:
    """Result by model, in the table of the command."""
    rows = [line.split() for line in output.splitlines()]
    return {
        row[0]: " ".join(word for word in row[1:] if not all(c in "0123456789abcdef" for c in word))
        for row in rows
        if row and row[0] in MODELS
    }


def test_the_log_gives_the_models_of_the_worker_and_a_difference_is_found(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    log = generate_log(1_500)
    with clean_environment(servers, tmp_path, models=MODELS, snapshot_interval=600.0) as environment:
        worker = environment.start_worker().wait_until_ready()
        feed(environment, worker, log)
        assert worker.terminate() == 0, worker.log
        status, output = headrace(environment, "rebuild")
        assert status == 0, output
        assert results_of(output) == {
            "popularity": "equal",
            "item_to_item": "equal",
            "session_knn": "not additive",
            "search": "equal",
        }
        assert f"folded {log.n_accepted:,} interactions" in output

        store = folder_store(environment.data_dir() / "models")
        settings = load_settings(models=MODELS, policies=FUSED_ORDER)
        loaded = load_models(partial(make_models, settings.ranking_config), store)
        loaded.models.learn(
            Interaction(Source.CLICK, 99, 0, loaded.models.newest, "eve", Kind.VIEW, (Line("0"),))
        )
        snapshot = store.newest()
        assert snapshot is not None
        store.save({**snapshot.state, "models": loaded.models.state()}, loaded.fingerprint)
        status, output = headrace(environment, "rebuild")
        assert status == 1, output
        assert results_of(output)["popularity"] == "different"

        # As of a time before all events, there is nothing to compare.
        status, output = headrace(environment, "rebuild", "--until", "2020-01-01")
        assert status == 3, output
        assert "folded 0 interactions" in output


def test_a_hyperparameter_is_changed_without_a_gap(servers: EmbeddedServers, tmp_path: Path) -> None:
    """A second replica learns with the new settings next to the worker, which then restarts with them."""
    log = generate_log(1_500)
    with clean_environment(servers, tmp_path, models=MODELS, snapshot_interval=0.5) as environment:
        old = environment.start_worker().wait_until_ready()
        feed(environment, old, log)
        old.wait_until(lambda: old.metric("headrace_snapshot_seconds_count") >= 1, "a snapshot")
        status, output = headrace(
            environment, "rebuild", "--write", "--keep", model_parameters=NEW_PARAMETERS
        )
        assert status == 0, output
        assert f"{log.n_accepted:,} interactions" in output
        assert old.terminate() == 0, old.log

        changed = with_parameters(environment, NEW_PARAMETERS)
        new = changed.start_worker().wait_until_ready()
        assert new.metric("headrace_interactions_folded_total") == 0
        assert not new.has_logged("from the log, since it does not fit")
        new.wait_until(
            lambda: new.metric("headrace_lists_published_total", kind="user") >= len(log.users),
            "the lists of recently active users",
        )
        lists = changed.user_lists(log.users)
        assert lists.keys() == log.users
        assert {each.model_version for each in lists.values()} == {log.n_accepted}
        assert new.terminate() == 0, new.log

        # The old settings have their snapshot still.
        again = with_parameters(environment, {}).start_worker().wait_until_ready()
        assert again.metric("headrace_interactions_folded_total") == 0
        assert not again.has_logged("from the log, since it does not fit")


def test_a_worker_learns_from_the_log_what_does_not_fit_its_snapshot(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    log = generate_log(1_500)
    with clean_environment(servers, tmp_path, models=MODELS, snapshot_interval=600.0) as environment:
        worker = environment.start_worker().wait_until_ready()
        feed(environment, worker, log)
        assert worker.terminate() == 0, worker.log
        changed = with_parameters(environment, NEW_PARAMETERS)
        worker = changed.start_worker().wait_until_ready()
        assert worker.has_logged("learning session_store, item_to_item from the log, since it does not fit")
        assert worker.metric("headrace_interactions_folded_total") == 0
        assert worker.terminate() == 0, worker.log
        status, output = headrace(environment, "rebuild", model_parameters=NEW_PARAMETERS)
        assert status == 0, output
        assert results_of(output)["item_to_item"] == "equal"
        assert results_of(output)["popularity"] == "equal"


def with_parameters(
    environment: IntegrationEnvironment, model_parameters: dict[str, dict[str, int]]
) -> IntegrationEnvironment:
    """The environment with other hyperparameters."""
    environment.overrides = {**environment.overrides, "model_parameters": model_parameters}  # type: ignore[misc]  # Final
    return environment


def test_snapshots_are_listed_verified_and_restored(servers: EmbeddedServers, tmp_path: Path) -> None:
    with clean_environment(servers, tmp_path, models=MODELS) as environment:
        assert environment.start_worker().wait_until_ready().terminate() == 0
        [name] = [path.name for path in (environment.data_dir() / "models").glob("*.snapshot")]
        status, output = headrace(environment, "snapshots", "list")
        assert status == 0, output
        assert name in output
        assert "(these settings)" in output
        status, output = headrace(environment, "snapshots", "restore", name)
        assert status == 0, output
        assert "restored as models-0001-" in output
        (environment.data_dir() / "models" / name).write_bytes(b"HEADRACE")
        status, output = headrace(environment, "snapshots", "verify")
        assert status == 1, output
        assert f"{name}: shorter than its header" in output
        assert "1 of 2 snapshots" in output
        assert environment.start_worker().wait_until_ready().terminate() == 0
