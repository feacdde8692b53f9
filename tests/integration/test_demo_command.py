"""``headrace demo`` for a few seconds, on embedded and on external servers."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from stream_app.tools.embedded import EmbeddedServers
from tests.support.integration_environment import clean_environment, send_click
from tests.support.trainer_handle import compilation_cache
from topics import admin

pytestmark = pytest.mark.integration

DEADLINE = 400.0
BROUGHT = re.compile(r"· feeding · .* model \d+, \d+ s old, brought (?!0\.0)\d+\.\d %")
PROCESS_MARKER = "DEMO_TEST_PROCESS_MARKER"


def start_demo(*arguments: str, folder: Path, **settings: str) -> "subprocess.Popen[str]":
    # All child processes inherit the marker, which identifies leftover processes.
    environment = {**os.environ, **settings, PROCESS_MARKER: str(folder), "TMPDIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-m", "stream_app", "demo", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for_demo(demo: "subprocess.Popen[str]") -> str:
    try:
        output, _ = demo.communicate(timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        demo.kill()
        output, _ = demo.communicate()
        pytest.fail(f"the demo did not end within {DEADLINE:.0f} s; its output:\n{output}")
    return output


def leftover_processes(folder: Path) -> list[int]:
    """Processes with the marker of a run."""
    marker = f"{PROCESS_MARKER}={folder}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if marker in environment.split(b"\0"):
                found.append(int(entry.name))
    return found


def leftover_folders(folder: Path) -> list[Path]:
    """Folders that a run left in its temporary folder."""
    return list(folder.glob("headrace-*"))


def assert_events_add_up(report: dict[str, float]) -> None:
    assert report["events_read"] == sum(
        report[key] for key in ("accepted", "duplicates", "dead_lettered", "ignored")
    )
    assert report["unfinished"] == 0


def test_the_generated_shop_runs_for_the_given_seconds_and_leaves_only_a_report(
    tmp_path: Path,
) -> None:
    target = tmp_path / "r.json"
    # A busy machine keeps this rate, too: its users read their lists before they act.
    demo = start_demo("--seconds", "15", "--rate", "40", "--report", str(target), folder=tmp_path)
    output = wait_for_demo(demo)

    assert demo.returncode == 0, output
    report = json.loads(target.read_text())
    assert_events_add_up(report)
    assert 400 <= report["events_read"] <= 650
    assert report["accepted"] == report["events_read"], "every event of the shop is valid and unique"
    assert report["users"] > 10
    assert report["users_with_list"] >= 0.9 * report["users"], "all except users who only searched"
    assert report["lists_published"] >= report["users_with_list"]
    assert 0 < report["freshness_ms"]["p50"] <= report["freshness_ms"]["p99"]
    assert 0 < report["redis_read_ms"]["p50"] <= report["redis_read_ms"]["p99"]
    assert report["reads"] >= 200
    assert 0 < report["mrr_at_20"] <= report["hit_rate_at_20"] <= 1
    quality, search = report["list_quality"], report["latest_search"]
    for quality_key in ("dissimilarity", "coverage", "gini", "long_tail_share", "new_items_share"):
        assert 0 < quality[quality_key] <= 1, quality_key
    assert 0 < report["search_lists_published"] < report["lists_published"]
    assert set(search["results"]) <= {each["item_id"] for each in search["published"]}
    assert all(each["reason"]["source"] for each in search["published"])
    policies = report["policies"].values()
    assert sum(each["share"] for each in policies) == pytest.approx(1.0)
    assert sum(each["users"] for each in policies) > 10
    assert all(each["clicks_per_list"]["mean"] is not None for each in policies if each["users"])
    assert leftover_processes(tmp_path) == []
    assert leftover_folders(tmp_path) == []


def clicks() -> list[dict[str, object]]:
    return [
        {
            "type": "click",
            "event_id": f"e{n}",
            "user_id": f"u{n % 7}",
            "ts": 1541600000000 + n,
            "item_id": f"i{n % 5}",
        }
        for n in range(200)
    ]


def test_a_log_ends_by_itself_and_every_row_is_accounted_for(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    rows = clicks()
    lines = [msgspec.json.encode(row) for row in (*rows, rows[3], rows[4])]
    lines += [b"no event", b'{"type":"click","event_id":"x"}', b'{"type":"teleport"}']
    log.write_bytes(b"\n".join(lines))
    target = tmp_path / "r.json"

    demo = start_demo("--events", str(log), "--rate", "0", "--report", str(target), folder=tmp_path)
    output = wait_for_demo(demo)

    assert demo.returncode == 0, output
    report = json.loads(target.read_text())
    assert_events_add_up(report)
    found = {key: report[key] for key in ("events_read", "accepted", "duplicates", "dead_lettered", "users")}
    assert found == {"events_read": 205, "accepted": 200, "duplicates": 2, "dead_lettered": 3, "users": 7}
    assert report["users_with_list"] == 7
    assert leftover_processes(tmp_path) == []


def test_ctrl_c_stops_everything_and_the_trainer_and_still_writes_the_report(tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="the trainer needs JAX: pip install 'headrace[neural]'")
    target = tmp_path / "r.json"
    demo = start_demo(
        *("--neural", "--report", str(target)),
        folder=tmp_path,
        HEADRACE_CHECKPOINT_INTERVAL="1",
        **compilation_cache(tmp_path),
    )
    assert demo.stdout is not None
    deadline = time.monotonic() + DEADLINE
    output = []
    for line in demo.stdout:
        output.append(line)
        if BROUGHT.search(line) or time.monotonic() > deadline:
            break
    demo.send_signal(signal.SIGINT)
    output.append(wait_for_demo(demo))

    assert demo.returncode == 0, "".join(output)
    report = json.loads(target.read_text())
    assert report["interrupted"] is True
    assert_events_add_up(report)
    neural = report["neural"]
    assert neural["version"] >= 1
    assert 0 < neural["brought_share"] < 1
    assert neural["trainer_failure"] == ""
    assert leftover_processes(tmp_path) == []
    assert leftover_folders(tmp_path) == []


def test_on_external_servers_the_demo_is_isolated_from_their_worker(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(b"\n".join(msgspec.json.encode(row) for row in clicks()))
    target = tmp_path / "r.json"
    with clean_environment(servers, tmp_path / "shop") as environment:
        worker = environment.start_worker().wait_until_ready()
        for number in range(20):
            send_click(environment, f"early-{number}", "shoe")
        worker.wait_until(lambda: worker.events("accepted") == 20, "the shop's own events to be accepted")
        external_settings = {
            "HEADRACE_BROKER": environment.settings.broker,
            "HEADRACE_REDIS": environment.settings.redis,
            "HEADRACE_APP_ID": environment.settings.app_id,
        }
        demo = start_demo(
            "--events", str(log), "--rate", "0", "--report", str(target), folder=tmp_path, **external_settings
        )
        output = wait_for_demo(demo)

        assert demo.returncode == 0, output
        report = json.loads(target.read_text())
        assert_events_add_up(report)
        assert (report["events_read"], report["accepted"], report["users_with_list"]) == (200, 200, 7)
        worker.wait_until(lambda: worker.events("accepted") == 220, "the shop's worker to accept them too")
        assert worker.metric("headrace_rebalances_total") == 1, "the demo joined the shop's group"
        assert not [name for name in admin.list_names(environment.settings.broker) if "demo" in name]
        groups = environment.groups()
        assert environment.settings.app_id in groups
        assert not [name for name in groups if "demo" in name]
    assert leftover_processes(tmp_path) == []
    assert leftover_folders(tmp_path) == []


@pytest.mark.parametrize("name", ["BROKER", "REDIS"])
def test_an_unreachable_external_server_ends_the_demo_with_one_error_sentence(
    tmp_path: Path, name: str
) -> None:
    address = {"BROKER": "127.0.0.1:1", "REDIS": "redis://127.0.0.1:1/0"}[name]
    demo = start_demo("--seconds", "1", folder=tmp_path, **{f"HEADRACE_{name}": address})
    output = wait_for_demo(demo)

    assert demo.returncode == 1
    assert f"headrace: No {'Kafka broker' if name == 'BROKER' else 'Redis'} answers at {address}" in output
    assert "✓" not in output
    assert ".." not in output
    assert "Traceback" not in output
    assert leftover_processes(tmp_path) == []
    assert leftover_folders(tmp_path) == []


def test_the_log_of_a_failed_worker_is_kept_and_its_path_printed(
    broker: str, redis_url: str, tmp_path: Path
) -> None:
    external_settings = {"HEADRACE_BROKER": broker, "HEADRACE_REDIS": redis_url}
    demo = start_demo(
        "--seconds", "1", folder=tmp_path, HEADRACE_MODELS='["crystal_ball"]', **external_settings
    )
    output = wait_for_demo(demo)

    assert demo.returncode == 1
    [folder] = leftover_folders(tmp_path)
    assert f"the workers' folders are in {folder}" in output
    assert f"The end of its log {folder}/worker-1.log" in output
    assert "There is no model 'crystal_ball'" in (folder / "worker-1.log").read_text()
    assert leftover_processes(tmp_path) == []
