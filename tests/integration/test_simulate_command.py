"""`headrace simulate`: shoppers who read real lists from Redis and answer through Kafka."""

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
from stream_app.tools.simulator.simulation_runner import SCOUTS
from stream_app.tools.simulator.tally import FALLBACK
from tests.support.integration_environment import Stage, Worker, clean_stage
from topics.events import Click, Impression, UserEvent
from topics.records import RecommendationList

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def stage(servers: EmbeddedServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with clean_stage(servers, tmp_path_factory.mktemp("simulate"), max_event_age=0) as made:
        yield made


@pytest.fixture(scope="module")
def worker(stage: Stage) -> Worker:
    return stage.start_worker().await_ready()


def write_sessions(target: Path, count: int = 400) -> None:
    """Sessions that walk round a ring of items, so that what comes next can be learned."""
    rng = np.random.default_rng(3)
    with target.open("w") as file:
        for _ in range(count):
            first, length = int(rng.integers(30)), int(rng.integers(3, 7))
            file.write(json.dumps([(first + step) % 30 for step in range(length)]) + "\n")


def is_of_test(event: UserEvent) -> bool:
    return event.user_id.startswith("test-")


def decoded(stage: Stage, topic: str, kind: type[Any]) -> list[Any]:
    return [msgspec.json.decode(record.value or b"", type=kind) for record in stage.read(topic)]


def test_replayed_shoppers_click_real_lists_and_the_report_agrees_with_what_went_through_kafka(
    stage: Stage, worker: Worker, tmp_path: Path
) -> None:
    log, target = tmp_path / "sessions.jsonl", tmp_path / "report.json"
    write_sessions(log)
    before = worker.events("accepted")
    status, said = stage.headrace(
        "simulate", "--sessions", str(log), "--warm-up", "0.5", "--shoppers", "60", "--run", "test-",
        "--report", str(target),
    )  # fmt: skip

    assert status == 0, said
    report = json.loads(target.read_text())
    own = [each for each in report["policies"] if FALLBACK not in each["policy"]]
    assert own, said
    assert sum(each["lists"] for each in report["policies"]) == report["lists"] > 150
    assert report["finished"] == report["shoppers"] == 60
    assert report["late"] == 0
    # Where a session goes is on the ring: learned lists are clicked far more often than chance would have it.
    assert sum(each["clicks"] for each in own) > 0.4 * sum(each["lists"] for each in own)

    sent = report["setup"]["warm_up_events"] + SCOUTS + report["events"]
    worker.wait_until(lambda: worker.events("accepted") == before + sent, f"{sent} events to be taken")
    impressions = [event for event in decoded(stage, "events.impression", Impression) if is_of_test(event)]
    assert len(impressions) == report["impressions"] == report["lists"]
    published = {
        each.list_id: [item.id for item in each.items] for each in decoded(stage, "lists", RecommendationList)
    }
    seen = [event for event in impressions if event.list_id in published]
    assert len(seen) == sum(each["lists"] for each in own)
    for event in seen:
        # looked at from the top, without the item the shopper was at
        assert event.items == [item for item in published[event.list_id] if item in event.items]
    clicks = [event for event in decoded(stage, "events.click", Click) if event.list_id and is_of_test(event)]
    assert len(clicks) == sum(each["clicks"] for each in report["policies"])
    looked_at = {(event.list_id, event.items[-1]) for event in impressions}
    assert all((event.list_id, event.item_id) in looked_at for event in clicks)


def test_ctrl_c_ends_a_generated_run_with_a_report_of_what_was_done(
    stage: Stage, worker: Worker, tmp_path: Path
) -> None:
    target = tmp_path / "report.json"
    before = worker.events("accepted")
    running = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "stream_app",
            "simulate",
            "--shoppers",
            "200",
            "--items",
            "100",
            "--report",
            str(target),
        ],
        env=child_environment(
            app_id=stage.settings.app_id,
            broker=stage.settings.broker,
            redis=stage.settings.redis,
            max_event_age=0,
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        worker.wait_until(lambda: worker.events("accepted") > before + 250, "shoppers to be at it")
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=20)
    finally:
        running.kill()

    assert running.returncode == 130, said
    assert "Traceback" not in said
    report = json.loads(target.read_text())
    assert report["interrupted"] is True
    assert report["lists"] > 50
    assert report["regret"]["curves"]
    worker.wait_until(
        lambda: worker.events("accepted") >= before + 85 + report["events"], "every event to be taken"
    )
    assert worker.events("dead_lettered") == 0
