import math

import numpy as np

from stream_app.experiment.confidence_sequence import MIN_USERS, half_width


def test_confidence_sequence_covers_uniformly_over_time() -> None:
    rng = np.random.default_rng(3)
    runs, length = 400, 3_000
    values = (rng.random((runs, length)) < 0.1) - 0.1
    counts = np.arange(1, length + 1)
    means = np.cumsum(values, axis=1) / counts
    deviations = np.sqrt(0.1 * 0.9)
    widths = np.array([half_width(float(n)) for n in counts]) * deviations
    from_min_users = slice(MIN_USERS - 1, None)
    covered = (np.abs(means) <= widths)[:, from_min_users].all(axis=1).mean()
    fixed_covered = (
        (np.abs(means) <= 1.96 * deviations / np.sqrt(counts))[:, from_min_users].all(axis=1).mean()
    )
    assert covered >= 0.95
    assert fixed_covered < 0.8


def test_interval_narrows_with_users_and_is_infinite_below_the_minimum() -> None:
    assert half_width(MIN_USERS - 1) == math.inf
    assert half_width(10_000) < half_width(1_000) < half_width(100) < half_width(MIN_USERS)
