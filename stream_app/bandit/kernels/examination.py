"""How likely each position is to be looked at."""

from typing import Any

from stream_app.models.kernels.jit import SUMS, jit


@jit(fastmath=SUMS, numpy_errors=True)
def estimate_examination(
    rank_sums: Any,
    predicted: Any,
    mode: int,
    prior: Any,
    floor: float,
    prior_strength: float,
    decay_factor: float,
    examination: Any,
) -> None:
    """Write how likely each place is to be looked at; `examination` holds the last estimate.

    Parameters
    ----------
    rank_sums : ndarray of float64, shape (places, 5)
        Showings, first reactions, values, squared values, rewards.
    predicted : ndarray of float64, shape (places,)
        What the items shown there would have brought if all had been looked at, in any unit.
    mode
        0 for the position-based model, 1 for the cascade, 2 for none.
    prior : ndarray of float64, shape (places,)
        What `prior_strength` rewards a place speak for.
    decay_factor
        What turns the sums into sums decayed until now.
    """
    n = len(examination)
    if mode == 2:
        for rank in range(n):
            examination[rank] = 1.0
    elif mode == 1:
        # the first choice ends the scan: what was chosen above is what did not get here
        reached = 1.0
        for rank in range(n):
            examination[rank] = min(max(reached, floor), 1.0)
            reached -= (
                decay_factor * rank_sums[rank, 1] / (decay_factor * rank_sums[rank, 0] + prior_strength)
            )
    else:
        observed_reward = 0.0
        expected_reward = 0.0
        rewards = 0.0
        for rank in range(n):
            observed_reward += max(rank_sums[rank, 2], 0.0)
            expected_reward += examination[rank] * max(predicted[rank], 0.0)
            rewards += rank_sums[rank, 4]
        if not (observed_reward > 0.0 and expected_reward > 0.0):
            for rank in range(n):
                examination[rank] = prior[rank]
            return
        # the predictions may be off by a factor while little is known: only their proportions count
        scale = observed_reward / expected_reward
        prior_reward = prior_strength * observed_reward / rewards
        first_estimate = 1.0
        for rank in range(n):
            estimate = (decay_factor * max(rank_sums[rank, 2], 0.0) + prior_reward * prior[rank]) / (
                decay_factor * scale * max(predicted[rank], 0.0) + prior_reward
            )
            if rank == 0:
                first_estimate = estimate
            examination[rank] = min(max(estimate / first_estimate, floor), 1.0)
