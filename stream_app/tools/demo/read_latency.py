"""Timing the reads that a web tier would make."""

import time
from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np

from stream_app.client import Client
from stream_app.client.redis_contract import user_key

FEWEST: Final = 2_000
"""Reads are repeated until there are so many, if shoppers are few."""

MOST: Final = 20_000
"""Of more shoppers a sample is read."""

_WARM_UP: Final = 20


class Reads(msgspec.Struct, frozen=True):
    """What reading came to: seconds of each read, and how many found the shopper's own list."""

    seconds: list[float]
    own: int
    shoppers: int


def time_reads(client: Client, users: Iterable[str], seed: int) -> Reads:
    """Read the lists of shoppers, one after the other, in an order drawn by chance.

    Parameters
    ----------
    client
        As a web tier would use it.
    users
        The shoppers.
    seed
        Of the order and the sample.
    """
    ordered = sorted(users)
    if not ordered:
        return Reads([], 0, 0)
    drawn = np.random.default_rng(seed).permutation(len(ordered))[:MOST]
    sample = [ordered[place] for place in drawn]
    for user_id in sample[:_WARM_UP]:
        client.read(user_id)
    seconds: list[float] = []
    own = 0
    while len(seconds) < FEWEST or len(seconds) < len(sample):
        first_round = not seconds
        for user_id in sample:
            began = time.perf_counter()
            found = client.read(user_id)
            seconds.append(time.perf_counter() - began)
            if first_round and found is not None and found.key == user_key(user_id):
                own += 1
    return Reads(seconds, own, len(sample))
