"""`headrace evaluate policy --broker`: lists and rewards on a real broker, read without committing offsets."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from topics import admin
from topics.catalog import LISTS, REWARDS
from topics.records import ListedItem, Reason, RecommendationList, Reward, RewardKind, Source

pytestmark = pytest.mark.integration

COUNT = 300


def evaluate(broker: str, report: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "stream_app", "evaluate", "policy", "--broker", "--report", str(report)],
        env={**os.environ, "HEADRACE_BROKER": broker},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def publish_log(broker: str) -> None:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=broker)
    for number in range(COUNT):
        items = ("a", "b") if number % 2 else ("b", "a")
        published_list = RecommendationList(
            list_id=f"list-{number}",
            key=f"recs:{number}",
            generated_at=f"2026-01-01T00:00:00.{number:06}Z",
            policy="shuffle",
            model_version=1,
            items=tuple(ListedItem(item, 1.0, 0.5, Reason("popular")) for item in items),
        )
        click = Reward(
            source=Source.CLICK, partition=0, offset=number, line=0, ts=1.0, user_id=str(number),
            list_id=published_list.list_id, policy="shuffle", kind=RewardKind.CLICK, item_id="a", value=1.0,
        )  # fmt: skip
        key = str(number).encode()
        producer.send(LISTS.name, key=key, value=msgspec.json.encode(published_list))
        for _ in range(2 if number % 3 == 0 else 0):  # twice, as after a crash
            producer.send(REWARDS.name, key=key, value=msgspec.msgpack.encode(click))
    producer.close()


def test_both_topics_are_read_to_the_end_and_joined(broker: str, tmp_path: Path) -> None:
    report = tmp_path / "out.json"
    missing = evaluate(broker, report)
    assert missing.returncode == 1
    assert "There is no topic rewards" in missing.stderr
    admin.create((LISTS, REWARDS), broker, partitions=3, replication=1)
    publish_log(broker)
    completed = evaluate(broker, report)
    assert completed.returncode == 0, completed.stderr
    result = json.loads(report.read_bytes())
    assert result["input_counts"]["lists"] == COUNT
    assert result["estimates"]["logged"]["shuffle"]["rounds"] == 2 * COUNT
    assert result["estimates"]["logged"]["shuffle"]["rewarded"] == COUNT // 3
    assert result["estimates"]["targets"]["uniform"]["verdict"]["finding"] == "same"
