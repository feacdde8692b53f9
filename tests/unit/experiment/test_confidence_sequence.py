import math

import numpy as np

from stream_app.experiment.confidence_sequence import LEAST, half_width


def test_intervals_hold_at_all_times_at_once_far_more_often_than_fixed_ones() -> None:
    chance = np.random.default_rng(3)
    runs, length = 400, 3_000
    values = (chance.random((runs, length)) < 0.1) - 0.1
    counts = np.arange(1, length + 1)
    means = np.cumsum(values, axis=1) / counts
    deviations = np.sqrt(0.1 * 0.9)
    widths = np.array([half_width(float(n)) for n in counts]) * deviations
    from_here = slice(LEAST - 1, None)
    held = (np.abs(means) <= widths)[:, from_here].all(axis=1).mean()
    fixed = (np.abs(means) <= 1.96 * deviations / np.sqrt(counts))[:, from_here].all(axis=1).mean()
    assert held >= 0.95
    assert fixed < 0.8


def test_the_interval_narrows_and_nothing_is_said_of_a_few() -> None:
    assert half_width(LEAST - 1) == math.inf
    assert half_width(10_000) < half_width(1_000) < half_width(100) < half_width(LEAST)
