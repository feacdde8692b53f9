"""The pause of a list is the longest wait of a probing user, also of one who still waits."""

import time
from typing import Any

import pytest

from stream_app.tools.bench.starts import _Probe
from topics.events import rfc3339
from topics.records import RecommendationList


class _Shop:
    """Kafka and Redis of a shop that publishes a list when it is told to."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.lists: dict[str, str] = {}

    def send(self, record: Any) -> None:
        self.sent.append(record.key)

    def flush(self) -> int:
        return len(self.sent)

    def read_key(self, key: str) -> RecommendationList | None:
        if key not in self.lists:
            return None
        return RecommendationList(
            list_id="l", key=key, generated_at=self.lists[key], policy="fixed", model_version=1, items=()
        )


def test_the_longest_wait_is_that_of_the_list_after_the_click(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    shop: Any = _Shop()
    probe = _Probe(shop, shop)
    probe._click()
    key = "recs:user:{probe-0}"
    shop.lists[key] = rfc3339(now - 5.0)  # from before the click
    now += 2.0
    probe._look()
    assert probe.longest() == pytest.approx(2.0)
    shop.lists[key] = rfc3339(now + 0.5)
    now += 9.0
    probe._look()
    assert probe.longest() == pytest.approx(2.5)
    assert probe.longest() == 0.0


def test_a_user_who_waits_does_not_click_again() -> None:
    shop: Any = _Shop()
    probe = _Probe(shop, shop)
    for _ in range(64):
        probe._click()
    assert len(set(shop.sent)) == len(shop.sent) == 64
    probe._click()
    assert len(shop.sent) == 64
