"""One user's repetition changes neither the popular list nor the lists of others more than a few clicks do."""

import itertools
from pathlib import Path

import pytest

from stream_app.client.redis_contract import popular_key, user_key
from tests.support.in_memory_worker import InMemoryWorker

ITEMS = [f"item {number}" for number in range(12)]
USERS = [f"user {number}" for number in range(50)]
REPEATED = "<b>mine</b>"


async def lists_after(folder: Path, repetitions: int, fusion: str) -> dict[str, list[str]]:
    """The popular list and those of 50 users who return after one user has clicked an item again and again."""
    models = ["popularity", "item_to_item", "session_knn", "item_vectors"]
    worker = InMemoryWorker(folder, models=models, fusion=fusion, flush_users=64)
    for number, user in enumerate(USERS):
        for item in itertools.islice(itertools.cycle(ITEMS), number % 5, number % 5 + 3):
            worker.accept(worker.click(user, item))
            worker.clock.now += 1.0
    worker.accept(worker.click("eager", ITEMS[0]))
    for _ in range(repetitions):
        worker.accept(worker.click("eager", REPEATED))
    worker.clock.now += 3_600.0
    for user in USERS:
        worker.accept(worker.click(user, ITEMS[7]))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    keys = {"popular": popular_key(), **{user: user_key(user) for user in USERS}}
    return {name: worker.item_ids(key) for name, key in keys.items()}


@pytest.mark.parametrize("fusion", ["rrf", "learned"])
async def test_300_clicks_of_one_user_move_no_list(tmp_path: Path, fusion: str) -> None:
    few = await lists_after(tmp_path / "few", 5, fusion)
    many = await lists_after(tmp_path / "many", 300, fusion)
    assert many == few
    assert REPEATED not in many["popular"][:3]
    assert [user for user in USERS if REPEATED in many[user][:3]] == []
