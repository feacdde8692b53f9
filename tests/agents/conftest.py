"""A worker without Kafka for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.app_without_kafka import WorkerWithoutKafka, open_worker


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[WorkerWithoutKafka]:
    async with open_worker(tmp_path) as opened:
        yield opened
