"""The compiled inner loops of the decisions; see `stream_app.models.kernels.shared` for the rules.

Chance is drawn by SplitMix64 from a counter in an array of one uint64, so that equal seeds draw the same everywhere.
"""

import math
from typing import Any

import numpy as np

from stream_app.models.kernels.jit import SUMS, jit

# --- chance ----------------------------------------------------------------------------------------------


@jit(fastmath=SUMS, numpy_errors=True)
def drawn(state: Any) -> Any:
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
    return (float(drawn(state) >> np.uint64(12)) + 0.5) / 4503599627370496.0


@jit(fastmath=SUMS, numpy_errors=True)
def below(state: Any, n: int) -> int:
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
    both = low + high
    while True:
        u = uniform(state)
        v = slope * math.log(u / (1.0 - u))
        w = low * math.exp(v)
        z = u * u * uniform(state)
        r = middle * v - 1.3862943611198906
        s = low + r - w
        if s + 2.6094379124341003 < 5.0 * z:
            t = math.log(z)
            if s <= t and r + both * math.log(both / (high + w)) < t:
                continue
        return w / (high + w) if low == a else high / (high + w)


# --- slates ----------------------------------------------------------------------------------------------


@jit(fastmath=SUMS, numpy_errors=True)
def cleaned(features: Any, largest: float, out: Any) -> None:
    """Write features that are within `largest` of 0, and 0 where they are no number."""
    for row in range(len(features)):
        for j in range(features.shape[1]):
            value = features[row, j]
            out[row, j] = 0.0 if math.isnan(value) else min(max(value, -largest), largest)


@jit(fastmath=SUMS, numpy_errors=True)
def best(scores: Any, order: Any) -> None:
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
            at = k - 1
        else:
            at = size
            size += 1
        while at > 0 and score > scores[order[at - 1]]:
            order[at] = order[at - 1]
            at -= 1
        order[at] = row


@jit(fastmath=SUMS, numpy_errors=True)
def slate(scores: Any, member: int, order: Any, propensities: Any) -> None:
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
    best(scores[:, member].copy(), order)
    above = np.empty(draws, np.int32)
    for place in range(len(order)):
        chosen = order[place]
        own = scores[chosen]
        above[:] = 0
        # not the whole order of each scoring, but how many are before this one: no branches
        for row in range(chosen):
            other = scores[row]
            for draw in range(draws):
                above[draw] += np.int32(other[draw] >= own[draw])
        for row in range(chosen + 1, n):
            other = scores[row]
            for draw in range(draws):
                above[draw] += np.int32(other[draw] > own[draw])
        agree = 0
        for draw in range(draws):
            agree += above[draw] == place
        propensities[place] = agree / draws


@jit(fastmath=SUMS, numpy_errors=True)
def sampled_weights(mean: Any, lower: Any, scale: float, seed: Any, weights: Any) -> None:
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
    held = np.empty((d, draws))
    for i in range(d):
        for draw in range(draws):
            held[i, draw] = scale * normal(state, spare)
    # L' u = z, from the last row up, all draws at once
    for back in range(d):
        i = d - 1 - back
        row = held[i]
        inverse = 1.0 / lower[i, i]
        for draw in range(draws):
            row[draw] *= inverse
        for k in range(i):
            factor = lower[i, k]
            to = held[k]
            for draw in range(draws):
                to[draw] -= factor * row[draw]
    for i in range(d):
        for draw in range(draws):
            weights[i, draw] = mean[i] + held[i, draw]


@jit(fastmath=SUMS, numpy_errors=True)
def decide_sampled(
    features: Any, weights: Any, seed: Any, largest: float, order: Any, propensities: Any
) -> None:
    """Choose a slate by one of the weightings, each equally likely; see `slate`."""
    # what is added to all does not change their order
    n, d = features.shape
    draws = weights.shape[1]
    scores = np.zeros((n, draws), np.float32)
    for row in range(n):
        to = scores[row]
        for i in range(d):
            value = features[row, i]
            if math.isnan(value) or value == 0.0:
                continue
            x = np.float32(min(max(value, -largest), largest))
            weight = weights[i]
            for draw in range(draws):
                to[draw] += x * weight[draw]
    state = np.empty(1, np.uint64)
    state[0] = seed
    slate(scores, below(state, draws), order, propensities)


@jit(fastmath=SUMS, numpy_errors=True)
def decide_upper(features: Any, mean: Any, lower: Any, width: float, largest: float, order: Any) -> None:
    """Choose the largest upper confidence bounds, mean + width · sqrt(xᵀ A⁻¹ x); `lower` is the factor of A."""
    n, d = features.shape
    scores = np.empty(n)
    x = np.empty(d + 1)
    for row in range(n):
        score = 0.0
        x[d] = 1.0
        for i in range(d):
            value = features[row, i]
            x[i] = 0.0 if math.isnan(value) else min(max(value, -largest), largest)
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
    best(scores, order)


@jit(fastmath=SUMS, numpy_errors=True)
def wander(n: int, ranked: Any, ranks: Any, epsilon: float, seed: Any, order: Any) -> None:
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
    taken = np.zeros(n, np.bool_)
    first = 0
    for place in range(len(order)):
        while taken[first]:
            first += 1
        rank = first
        if uniform(state) < epsilon:
            left = below(state, n - place)
            rank = -1
            while left >= 0:
                rank += 1
                left -= not taken[rank]
        taken[rank] = True
        ranks[place] = rank
        order[place] = ranked[rank]


@jit(fastmath=SUMS, numpy_errors=True)
def wander_propensities(n: int, ranks: Any, epsilon: float, propensities: Any) -> None:
    """Write the chance that `wander` puts the candidate of each rank in its place, over all it could do before.

    What matters to a candidate is how many better ones are left, for only with none of them it is the best left.
    That number falls by one when a better one is taken; its distribution is carried from place to place.
    """
    k = len(ranks)
    chance = np.empty(k + 1)
    following = np.empty(k + 1)
    for place in range(k):
        rank = ranks[place]
        # chance[gone]: that so many better ones are gone and this one is left
        chance[:] = 0.0
        chance[0] = 1.0
        for earlier in range(place):
            left = n - earlier
            following[:] = 0.0
            for gone in range(min(earlier, rank) + 1):
                now = chance[gone]
                better = rank - gone
                if better > 0:
                    following[gone + 1] += now * (1.0 - epsilon + epsilon * better / left)
                following[gone] += now * epsilon * (left - better - 1) / left
            chance, following = following, chance
        total = 0.0
        for gone in range(min(place, rank) + 1):
            total += chance[gone] * epsilon / (n - place)
        if rank <= place:
            total += chance[rank] * (1.0 - epsilon)
        propensities[place] = total


# --- items by themselves ----------------------------------------------------------------------------------


@jit(fastmath=SUMS, numpy_errors=True)
def item_posterior(
    score: Any, row: int, sums: Any, factor: float, strength: float, rate: float, gaussian: bool
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
    strength, rate
        Trials of the prior, and its rate for a score of 1.
    gaussian
        Whether rewards may have any value; else they are chances.
    """
    if math.isnan(score):
        score = 0.0
    rate *= min(max(score, -1e3), 1e3)
    if not gaussian:
        rate = min(max(rate, 1e-3), 0.999)
    tried = strength
    got = strength * rate
    if row >= 0:
        tried += factor * sums[row, 0]
        got += factor * sums[row, 1]
    if not gaussian:
        # what was thought to be overlooked may bring more than its trials
        tried = max(tried, got)
    return tried, got


@jit(fastmath=SUMS, numpy_errors=True)
def fold_items(
    scores: Any,
    rows: Any,
    positions: Any,
    weight: float,
    factor: float,
    strength: float,
    rate: float,
    gaussian: bool,
    chances: Any,
    sums: Any,
    places: Any,
    expected: Any,
) -> None:
    """Count showings: a trial as far as the place is looked at, and to the place what was expected of the item."""
    for at in range(len(rows)):
        place = min(max(positions[at], 0), len(places) - 1)
        tried, got = item_posterior(scores[at], rows[at], sums, factor, strength, rate, gaussian)
        expected[place] += weight * got / tried
        places[place, 0] += weight
        sums[rows[at], 0] += weight * chances[place]


@jit(fastmath=SUMS, numpy_errors=True)
def sample_item(
    tried: float, got: float, gaussian: bool, noise: float, state: Any, spare: Any, out: Any
) -> None:
    """Draw worths of an item with so many trials and rewards: normal, or of a Beta posterior.

    `noise` is the deviation of a reward, or how wide is sampled against the Beta posterior (its square divides the
    counts).
    """
    if gaussian:
        mean = got / tried
        deviation = noise / math.sqrt(tried)
        for draw in range(len(out)):
            out[draw] = mean + deviation * normal(state, spare)
    else:
        tighter = 1.0 / (noise * noise)
        hits = got * tighter
        misses = max(tried - got, 1e-3) * tighter
        slope, middle = beta_constants(hits, misses)
        for draw in range(len(out)):
            out[draw] = beta(state, spare, hits, misses, slope, middle)


@jit(fastmath=SUMS, numpy_errors=True)
def decide_items(
    scores: Any,
    rows: Any,
    sums: Any,
    factor: float,
    strength: float,
    rate: float,
    gaussian: bool,
    noise: float,
    fixed: Any,
    seed: Any,
    draws: int,
    order: Any,
    propensities: Any,
) -> None:
    """Choose a slate by one of `draws` draws of all worths (drawn from `fixed`), each equally likely."""
    state = np.empty(1, np.uint64)
    state[0] = fixed
    spare = np.zeros(2)
    worths = np.empty((len(rows), draws), np.float32)
    for at in range(len(rows)):
        tried, got = item_posterior(scores[at], rows[at], sums, factor, strength, rate, gaussian)
        sample_item(tried, got, gaussian, noise, state, spare, worths[at])
    state[0] = seed
    slate(worths, below(state, draws), order, propensities)
