"""The compiled inner loops of the decisions; see `stream_app.models.kernels.shared` for the rules.

Chance is drawn by SplitMix64 from a counter in an array of one uint64, so that equal seeds draw the same everywhere.
"""

import math
from typing import Any

import numpy as np

from stream_app.models.kernels.jit import SUMS, jit

# --- chance ----------------------------------------------------------------------------------------------


@jit(fastmath=SUMS, numpy_errors=True)
def next_u64(state: Any) -> Any:
    """The next 64 random bits.

    References
    ----------
    Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    mixed = state[0]
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@jit(fastmath=SUMS, numpy_errors=True)
def uniform(state: Any) -> float:
    """Above 0 and below 1."""
    return (float(next_u64(state) >> np.uint64(12)) + 0.5) / 4503599627370496.0


@jit(fastmath=SUMS, numpy_errors=True)
def randint(state: Any, n: int) -> int:
    """A whole number from 0 to n - 1."""
    return min(int(uniform(state) * n), n - 1)


@jit(fastmath=SUMS, numpy_errors=True)
def normal(state: Any, spare: Any) -> float:
    """One of the standard normal distribution, by Marsaglia's polar method; the second of a pair is kept in `spare`.

    `spare` is an array of float64 of two, zeroed at first: whether there is one, and what.
    """
    if spare[0] > 0.0:
        spare[0] = 0.0
        return float(spare[1])
    while True:
        x = 2.0 * uniform(state) - 1.0
        y = 2.0 * uniform(state) - 1.0
        square = x * x + y * y
        if 0.0 < square < 1.0:
            scale = math.sqrt(-2.0 * math.log(square) / square)
            spare[0] = 1.0
            spare[1] = scale * y
            return float(scale * x)


@jit(fastmath=SUMS, numpy_errors=True)
def gamma(state: Any, spare: Any, shape: float) -> float:
    """One of the gamma distribution of scale 1.

    References
    ----------
    Marsaglia, Tsang: A simple method for generating gamma variables, ACM TOMS 2000.
    """
    boost = 1.0
    if shape < 1.0:
        boost = uniform(state) ** (1.0 / shape)
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = normal(state, spare)
        v = 1.0 + c * x
        if v <= 0.0:
            continue
        v = v * v * v
        u = uniform(state)
        if u < 1.0 - 0.0331 * x * x * x * x:
            return boost * d * v
        if math.log(u) < 0.5 * x * x + d * (1.0 - v + math.log(v)):
            return boost * d * v


@jit(fastmath=SUMS, numpy_errors=True)
def beta_constants(a: float, b: float) -> tuple[float, float]:
    """What `beta` needs of its shapes; 0 and 0 where one is 1 or less."""
    low = min(a, b)
    if low <= 1.0:
        return 0.0, 0.0
    slope = math.sqrt((a + b - 2.0) / (2.0 * a * b - a - b))
    return slope, low + 1.0 / slope


@jit(fastmath=SUMS, numpy_errors=True)
def beta(state: Any, spare: Any, a: float, b: float, slope: float, middle: float) -> float:
    """One of the Beta distribution; `slope` and `middle` are its `beta_constants`.

    References
    ----------
    Cheng: Generating beta variates with nonintegral shape parameters, CACM 1978 (algorithm BB); where a shape is
    below 1, of two gamma variables.
    """
    low = min(a, b)
    high = max(a, b)
    if low < 1.0:
        hit = gamma(state, spare, a)
        return hit / (hit + gamma(state, spare, b) + 1e-300)
    if low == 1.0:
        # the other power of a uniform
        power = uniform(state) ** (1.0 / high)
        return float(power if b == 1.0 else 1.0 - power)
    total_shape = low + high
    while True:
        u = uniform(state)
        v = slope * math.log(u / (1.0 - u))
        w = low * math.exp(v)
        z = u * u * uniform(state)
        r = middle * v - 1.3862943611198906
        s = low + r - w
        if s + 2.6094379124341003 < 5.0 * z:
            t = math.log(z)
            if s <= t and r + total_shape * math.log(total_shape / (high + w)) < t:
                continue
        return w / (high + w) if low == a else high / (high + w)


# --- slates ----------------------------------------------------------------------------------------------


@jit(fastmath=SUMS, numpy_errors=True)
def clip_features(features: Any, max_abs: float, out: Any) -> None:
    """Write features that are within `max_abs` of 0, and 0 where they are no number."""
    for row in range(len(features)):
        for j in range(features.shape[1]):
            value = features[row, j]
            out[row, j] = 0.0 if math.isnan(value) else min(max(value, -max_abs), max_abs)


@jit(fastmath=SUMS, numpy_errors=True)
def top_k(scores: Any, order: Any) -> None:
    """Write the rows of the best scores, best first; of equals the first row first."""
    k = len(order)
    size = 0
    if k == 0:
        return
    for row in range(len(scores)):
        score = scores[row]
        if size == k:
            if not score > scores[order[k - 1]]:
                continue
            index = k - 1
        else:
            index = size
            size += 1
        while index > 0 and score > scores[order[index - 1]]:
            order[index] = order[index - 1]
            index -= 1
        order[index] = row


@jit(fastmath=SUMS, numpy_errors=True)
def ensemble_slate(scores: Any, member: int, order: Any, propensities: Any) -> None:
    """Order the candidates by one of several scorings, and count how many of these agree with each place.

    Parameters
    ----------
    scores : ndarray of float32, shape (n, draws)
        Of each candidate by each scoring.
    member
        The scoring that is followed.
    order : ndarray of int32, shape (k,)
        Gets the rows, best first.
    propensities : ndarray of float64, shape (k,)
        Gets the share of the scorings that put that row in that place.
    """
    n, draws = scores.shape
    top_k(scores[:, member].copy(), order)
    n_above = np.empty(draws, np.int32)
    for position in range(len(order)):
        chosen = order[position]
        chosen_scores = scores[chosen]
        n_above[:] = 0
        # not the whole order of each scoring, but how many are before this one: no branches
        for row in range(chosen):
            row_scores = scores[row]
            for draw in range(draws):
                n_above[draw] += np.int32(row_scores[draw] >= chosen_scores[draw])
        for row in range(chosen + 1, n):
            row_scores = scores[row]
            for draw in range(draws):
                n_above[draw] += np.int32(row_scores[draw] > chosen_scores[draw])
        n_agree = 0
        for draw in range(draws):
            n_agree += n_above[draw] == position
        propensities[position] = n_agree / draws


@jit(fastmath=SUMS, numpy_errors=True)
def sample_weights(mean: Any, lower: Any, scale: float, seed: Any, weights: Any) -> None:
    """Draw weightings from a Gaussian posterior.

    Parameters
    ----------
    mean : ndarray of float64, shape (d,)
    lower : ndarray of float64, shape (d, d)
        Cholesky factor of the precision.
    scale
        What the standard deviations are multiplied by.
    seed
        An unsigned whole number.
    weights : ndarray of float32, shape (d, draws)
        Gets the weightings.
    """
    d, draws = weights.shape
    state = np.empty(1, np.uint64)
    state[0] = seed
    spare = np.zeros(2)
    deviations = np.empty((d, draws))
    for i in range(d):
        for draw in range(draws):
            deviations[i, draw] = scale * normal(state, spare)
    # L' u = z, from the last row up, all draws at once
    for steps_back in range(d):
        i = d - 1 - steps_back
        row = deviations[i]
        inverse = 1.0 / lower[i, i]
        for draw in range(draws):
            row[draw] *= inverse
        for k in range(i):
            factor = lower[i, k]
            out_row = deviations[k]
            for draw in range(draws):
                out_row[draw] -= factor * row[draw]
    for i in range(d):
        for draw in range(draws):
            weights[i, draw] = mean[i] + deviations[i, draw]


@jit(fastmath=SUMS, numpy_errors=True)
def thompson_slate(
    features: Any, weights: Any, seed: Any, max_abs: float, order: Any, propensities: Any
) -> None:
    """Choose a slate by one of the weightings, each equally likely; see `ensemble_slate`."""
    # what is added to all does not change their order
    n, d = features.shape
    draws = weights.shape[1]
    scores = np.zeros((n, draws), np.float32)
    for row in range(n):
        out_row = scores[row]
        for i in range(d):
            value = features[row, i]
            if math.isnan(value) or value == 0.0:
                continue
            x = np.float32(min(max(value, -max_abs), max_abs))
            weight = weights[i]
            for draw in range(draws):
                out_row[draw] += x * weight[draw]
    state = np.empty(1, np.uint64)
    state[0] = seed
    ensemble_slate(scores, randint(state, draws), order, propensities)


@jit(fastmath=SUMS, numpy_errors=True)
def ucb_order(features: Any, mean: Any, lower: Any, width: float, max_abs: float, order: Any) -> None:
    """Choose the largest upper confidence bounds, mean + width · sqrt(xᵀ A⁻¹ x); `lower` is the factor of A."""
    n, d = features.shape
    scores = np.empty(n)
    x = np.empty(d + 1)
    for row in range(n):
        score = 0.0
        x[d] = 1.0
        for i in range(d):
            value = features[row, i]
            x[i] = 0.0 if math.isnan(value) else min(max(value, -max_abs), max_abs)
            score += mean[i] * x[i]
        if width > 0.0:
            square = 0.0
            for i in range(d + 1):
                total = x[i]
                for k in range(i):
                    total -= lower[i, k] * x[k]
                x[i] = total / lower[i, i]
                square += x[i] * x[i]
            score += width * math.sqrt(square)
        scores[row] = score
    top_k(scores, order)


@jit(fastmath=SUMS, numpy_errors=True)
def epsilon_greedy_order(n: int, ranked: Any, ranks: Any, epsilon: float, seed: Any, order: Any) -> None:
    """Fill each place by the best left, or with chance `epsilon` by any that is left.

    Parameters
    ----------
    n
        Candidates.
    ranked : ndarray of int32, shape (n,)
        Rows, best first.
    ranks : ndarray of int32, shape (k,)
        Gets the rank, from 0, of each chosen.
    order : ndarray of int32, shape (k,)
        Gets the rows of the chosen.
    """
    state = np.empty(1, np.uint64)
    state[0] = seed
    selected = np.zeros(n, np.bool_)
    first = 0
    for position in range(len(order)):
        while selected[first]:
            first += 1
        rank = first
        if uniform(state) < epsilon:
            remaining = randint(state, n - position)
            rank = -1
            while remaining >= 0:
                rank += 1
                remaining -= not selected[rank]
        selected[rank] = True
        ranks[position] = rank
        order[position] = ranked[rank]


@jit(fastmath=SUMS, numpy_errors=True)
def epsilon_greedy_propensities(n: int, ranks: Any, epsilon: float, propensities: Any) -> None:
    """Write the probability that `epsilon_greedy_order` gives the candidate of each rank its place.

    What matters to a candidate is how many better ones are left, for only with none of them it is the best left.
    That number falls by one when a better one is taken; its distribution is carried from place to place.
    """
    k = len(ranks)
    probability = np.empty(k + 1)
    next_probability = np.empty(k + 1)
    for position in range(k):
        rank = ranks[position]
        # chance[gone]: that so many better ones are gone and this one is left
        probability[:] = 0.0
        probability[0] = 1.0
        for previous_position in range(position):
            remaining = n - previous_position
            next_probability[:] = 0.0
            for n_removed in range(min(previous_position, rank) + 1):
                current = probability[n_removed]
                n_better = rank - n_removed
                if n_better > 0:
                    next_probability[n_removed + 1] += current * (
                        1.0 - epsilon + epsilon * n_better / remaining
                    )
                next_probability[n_removed] += current * epsilon * (remaining - n_better - 1) / remaining
            probability, next_probability = next_probability, probability
        total = 0.0
        for n_removed in range(min(position, rank) + 1):
            total += probability[n_removed] * epsilon / (n - position)
        if rank <= position:
            total += probability[rank] * (1.0 - epsilon)
        propensities[position] = total


# --- items by themselves ----------------------------------------------------------------------------------


@jit(fastmath=SUMS, numpy_errors=True)
def item_posterior(
    score: Any, row: int, sums: Any, factor: float, prior_strength: float, prior_rate: float, gaussian: bool
) -> tuple[float, float]:
    """Trials and rewards of an item, the prior's among them.

    Parameters
    ----------
    score
        Its fused score.
    row
        Of the item in `sums`; -1 if nothing is known of it.
    sums : ndarray of float64, shape (items, 2)
        Trials and rewards.
    factor
        What turns the sums into sums decayed until now.
    prior_strength, prior_rate
        Trials of the prior, and its rate for a score of 1.
    gaussian
        Whether rewards may have any value; else they are chances.
    """
    if math.isnan(score):
        score = 0.0
    prior_rate *= min(max(score, -1e3), 1e3)
    if not gaussian:
        prior_rate = min(max(prior_rate, 1e-3), 0.999)
    trials = prior_strength
    reward_sum = prior_strength * prior_rate
    if row >= 0:
        trials += factor * sums[row, 0]
        reward_sum += factor * sums[row, 1]
    if not gaussian:
        # what was thought to be overlooked may bring more than its trials
        trials = max(trials, reward_sum)
    return trials, reward_sum


@jit(fastmath=SUMS, numpy_errors=True)
def fold_item_impressions(
    scores: Any,
    rows: Any,
    positions: Any,
    weight: float,
    factor: float,
    prior_strength: float,
    prior_rate: float,
    gaussian: bool,
    examination: Any,
    sums: Any,
    rank_sums: Any,
    expected_rewards: Any,
) -> None:
    """Count showings: a trial as far as the place is looked at, and to the place what was expected of the item."""
    for index in range(len(rows)):
        position = min(max(positions[index], 0), len(rank_sums) - 1)
        trials, reward_sum = item_posterior(
            scores[index], rows[index], sums, factor, prior_strength, prior_rate, gaussian
        )
        expected_rewards[position] += weight * reward_sum / trials
        rank_sums[position, 0] += weight
        sums[rows[index], 0] += weight * examination[position]


@jit(fastmath=SUMS, numpy_errors=True)
def sample_item(
    trials: float, reward_sum: float, gaussian: bool, noise: float, state: Any, spare: Any, out: Any
) -> None:
    """Draw worths of an item with so many trials and rewards: normal, or of a Beta posterior.

    `noise` is the deviation of a reward, or how wide is sampled against the Beta posterior (its square divides the
    counts).
    """
    if gaussian:
        mean = reward_sum / trials
        deviation = noise / math.sqrt(trials)
        for draw in range(len(out)):
            out[draw] = mean + deviation * normal(state, spare)
    else:
        concentration = 1.0 / (noise * noise)
        hits = reward_sum * concentration
        misses = max(trials - reward_sum, 1e-3) * concentration
        slope, middle = beta_constants(hits, misses)
        for draw in range(len(out)):
            out[draw] = beta(state, spare, hits, misses, slope, middle)


@jit(fastmath=SUMS, numpy_errors=True)
def item_thompson_slate(
    scores: Any,
    rows: Any,
    sums: Any,
    factor: float,
    prior_strength: float,
    prior_rate: float,
    gaussian: bool,
    noise: float,
    draw_seed: Any,
    seed: Any,
    draws: int,
    order: Any,
    propensities: Any,
) -> None:
    """Choose a slate by one of `draws` draws of all worths (drawn from `draw_seed`), each equally likely."""
    state = np.empty(1, np.uint64)
    state[0] = draw_seed
    spare = np.zeros(2)
    sampled_values = np.empty((len(rows), draws), np.float32)
    for index in range(len(rows)):
        trials, reward_sum = item_posterior(
            scores[index], rows[index], sums, factor, prior_strength, prior_rate, gaussian
        )
        sample_item(trials, reward_sum, gaussian, noise, state, spare, sampled_values[index])
    state[0] = seed
    ensemble_slate(sampled_values, randint(state, draws), order, propensities)
