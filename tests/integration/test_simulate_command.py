"""``headrace simulate``: users who read real lists from Redis and send events to Kafka."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from stream_app.settings import child_environment
from stream_app.tools.embedded import EmbeddedServers
from stream_app.tools.simulator.simulation_runner import N_PROBE_USERS
from stream_app.tools.simulator.tally import FALLBACK
from tests.support.integration_environment import IntegrationEnvironment, clean_environment
from tests.support.worker_handle import WorkerHandle
from topics.catalog import IMPRESSIONS
from topics.events import Click, Impression, UserEvent
from topics.records import RecommendationList

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def environment(
    servers: EmbeddedServers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IntegrationEnvironment]:
    with clean_environment(servers, tmp_path_factory.mktemp("simulate"), max_event_age=0) as created:
        yield created


@pytest.fixture(scope="module")
def worker(environment: IntegrationEnvironment) -> WorkerHandle:
    return environment.start_worker().wait_until_ready()


def write_sessions(target: Path, count: int = 400) -> None:
    """Sessions that move along a ring of items, so that the next item can be learned."""
    rng = np.random.default_rng(3)
    with target.open("w") as file:
        for _ in range(count):
            first, length = int(rng.integers(30)), int(rng.integers(3, 7))
            file.write(json.dumps([(first + step) % 30 for step in range(length)]) + "\n")


PATIENT_USERS = """
from stream_app.__main__ import main
from stream_app.tools.simulator.loop import SimulationLoop

SimulationLoop.__init__.__kwdefaults__["list_timeout"] = 120.0
main()
"""
"""On a busy machine lists take longer than users wait by default; no list must be late."""


def run_patient_users(environment: IntegrationEnvironment, *options: str) -> tuple[int, str]:
    """Run ``headrace simulate`` with users who wait for their lists; return its exit status and output."""
    return environment.run_python("-c", PATIENT_USERS, "simulate", *options)


def is_simulated(event: UserEvent) -> bool:
    return event.user_id.startswith("test-")


def accepted_impressions(worker: WorkerHandle) -> float:
    """Number of examined lists; users send one impression for each."""
    return worker.metric("headrace_events_total", topic=IMPRESSIONS.name, outcome="accepted")


def decode_topic(environment: IntegrationEnvironment, topic: str, kind: type[Any]) -> list[Any]:
    return [msgspec.json.decode(record.value or b"", type=kind) for record in environment.read(topic)]


def test_replayed_users_click_published_lists_and_the_report_matches_the_topics(
    environment: IntegrationEnvironment, worker: WorkerHandle, tmp_path: Path
) -> None:
    log, target = tmp_path / "sessions.jsonl", tmp_path / "report.json"
    write_sessions(log)
    n_accepted_before = worker.events("accepted")
    status, output = run_patient_users(
        environment, "--sessions", str(log), "--warm-up", "0.5", "--users", "60", "--run", "test-",
        "--report", str(target),
    )  # fmt: skip

    assert status == 0, output
    report = json.loads(target.read_text())
    own_list_policies = [each for each in report["policies"] if FALLBACK not in each["policy"]]
    assert own_list_policies, output
    assert sum(each["lists"] for each in report["policies"]) == report["lists"] > 150
    assert report["finished"] == report["users"] == 60
    assert report["late_lists"] == 0
    # The next items are on the ring: learned lists are clicked far more often than random lists.
    assert sum(each["clicks"] for each in own_list_policies) > 0.4 * sum(
        each["lists"] for each in own_list_policies
    )

    sent = report["setup"]["warm_up_events"] + N_PROBE_USERS + report["events"]
    worker.wait_until(
        lambda: worker.events("accepted") == n_accepted_before + sent, f"{sent} events to be accepted"
    )
    impressions = [
        event for event in decode_topic(environment, "events.impression", Impression) if is_simulated(event)
    ]
    assert len(impressions) == report["impressions"] == report["lists"]
    published = {
        each.list_id: [item.id for item in each.items]
        for each in decode_topic(environment, "lists", RecommendationList)
    }
    seen = [event for event in impressions if event.list_id in published]
    assert len(seen) == sum(each["lists"] for each in own_list_policies)
    for event in seen:
        # Examined from the top, without the item of the current page.
        assert event.items == [item for item in published[event.list_id] if item in event.items]
    clicks = [
        event
        for event in decode_topic(environment, "events.click", Click)
        if event.list_id and is_simulated(event)
    ]
    assert len(clicks) == sum(each["clicks"] for each in report["policies"])
    examined_and_clicked = {(event.list_id, event.items[-1]) for event in impressions}
    assert all((event.list_id, event.item_id) in examined_and_clicked for event in clicks)


def test_ctrl_c_ends_a_generated_run_with_a_partial_report(
    environment: IntegrationEnvironment, worker: WorkerHandle, tmp_path: Path
) -> None:
    target = tmp_path / "report.json"
    n_accepted_before = worker.events("accepted")
    n_lists_before = accepted_impressions(worker)
    running = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "stream_app",
            "simulate",
            "--users",
            "200",
            "--items",
            "100",
            "--report",
            str(target),
        ],
        env=child_environment(
            app_id=environment.settings.app_id,
            broker=environment.settings.broker,
            redis=environment.settings.redis,
            max_event_age=0,
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        worker.wait_until(
            lambda: (
                worker.events("accepted") > n_accepted_before + 250
                and accepted_impressions(worker) > n_lists_before + 50
            ),
            "users to examine lists and send events",
        )
        running.send_signal(signal.SIGINT)
        output, _ = running.communicate(timeout=120)
    finally:
        running.kill()

    assert running.returncode == 130, output
    assert "Traceback" not in output
    report = json.loads(target.read_text())
    assert report["interrupted"] is True
    assert report["lists"] > 50
    assert report["regret"]["curves"]
    worker.wait_until(
        lambda: worker.events("accepted") >= n_accepted_before + 85 + report["events"],
        "every event to be accepted",
    )
    assert worker.events("dead_lettered") == 0
