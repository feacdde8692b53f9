"""Latency of the reads of a web tier."""

import time
from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np

from stream_app.client import Client
from stream_app.client.redis_contract import user_key

MIN_READS: Final = 2_000
"""Few users are read repeatedly up to this number of reads."""

MAX_USERS: Final = 20_000
"""Of more users, a sample is read."""

_WARM_UP_READS: Final = 20


class ReadLatencies(msgspec.Struct, frozen=True):
    """Latency of each read in seconds, users with a personal list, and users read."""

    seconds: list[float]
    n_with_list: int
    n_users: int


def measure_read_latencies(client: Client, users: Iterable[str], seed: int) -> ReadLatencies:
    """Read users' lists sequentially in random order.

    Parameters
    ----------
    seed
        Seed of the order and of the sample.
    """
    sorted_users = sorted(users)
    if not sorted_users:
        return ReadLatencies([], 0, 0)
    order = np.random.default_rng(seed).permutation(len(sorted_users))[:MAX_USERS]
    sample = [sorted_users[index] for index in order]
    for user_id in sample[:_WARM_UP_READS]:
        client.read(user_id)
    seconds: list[float] = []
    n_with_list = 0
    while len(seconds) < MIN_READS or len(seconds) < len(sample):
        first_round = not seconds
        for user_id in sample:
            started = time.perf_counter()
            found = client.read(user_id)
            seconds.append(time.perf_counter() - started)
            if first_round and found is not None and found.key == user_key(user_id):
                n_with_list += 1
    return ReadLatencies(seconds, n_with_list, len(sample))
