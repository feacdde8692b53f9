"""`headrace doctor` advises an eviction policy that keeps what refuses lists of former owners."""

import pytest

from stream_app.tools.check_result import CheckStatus
from stream_app.tools.diagnostics import check_redis_memory


@pytest.mark.parametrize(
    ("policy", "fault"),
    [
        ("noeviction", "lists are refused"),
        ("volatile-ttl", "marks of erased users are evicted first"),
        ("volatile-lfu", "marks of erased users are evicted before lists"),
        ("volatile-random", "at random"),
        ("allkeys-lru", "counters of the owners of partitions are evicted"),
    ],
)
def test_policies_that_evict_marks_or_counters_are_warned_of(policy: str, fault: str) -> None:
    result = check_redis_memory(64 * 2**20, policy)
    assert result.status is CheckStatus.WARN
    assert fault in result.detail
    assert result.remedy == "CONFIG SET maxmemory-policy volatile-lru"


def test_the_advice_passes_the_check() -> None:
    assert "maxmemory-policy to volatile-lru" in check_redis_memory(0, "noeviction").remedy
    assert check_redis_memory(64 * 2**20, "volatile-lru").status is CheckStatus.OK
