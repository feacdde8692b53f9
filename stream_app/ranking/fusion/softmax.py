"""A ranker that learns from choices: what was chosen among what could have been, one step a choice."""

# ruff: noqa: C901, PLR0912 - one loop, one kernel

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.kernels.jit import FUNCTIONS, jit
from stream_app.models.model_state import State, verify_state, versioned_state

Matrix = NDArray[np.float32]


AVERAGING_STEPS = 1_000
"""Steps that the weights are averaged over."""


class SoftmaxWeights(NamedTuple):
    """What is learned, with the sums that Adagrad divides by.

    Attributes
    ----------
    knots : ndarray of float32, shape (features, bins + 1, units)
        Value of each unit at each knot of each feature; unit 0 is the additive part.
    out : ndarray of float32, shape (units,)
        Weight of each hidden unit; that of unit 0 is 1 and not learned.
    bias : ndarray of float32, shape (units,)
        Of the hidden units.
    knots_square_sum, out_square_sum, bias_square_sum
        Sums of squared gradients.
    """

    knots: Matrix
    out: Matrix
    bias: Matrix
    knots_square_sum: Matrix
    out_square_sum: Matrix
    bias_square_sum: Matrix


class ScoringTables(NamedTuple):
    """Weights as they are scored with: half the loads of a look at two knots and the first.

    Attributes
    ----------
    pieces : ndarray of float32, shape (features, bins, 2, units)
        Of each piece its value at the lower knot, less that of the first knot, and what it rises by.
    zero : ndarray of float32, shape (units,)
        What all units come to where every feature is 0.
    """

    pieces: Matrix
    zero: Matrix


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _tabulate(weights: SoftmaxWeights, tables: ScoringTables) -> None:
    features, knots, units = weights.knots.shape
    for k in range(units):
        tables.zero[k] = weights.bias[k]
    for j in range(features):
        for k in range(units):
            tables.zero[k] += weights.knots[j, 0, k]
        for low in range(knots - 1):
            for k in range(units):
                tables.pieces[j, low, 0, k] = weights.knots[j, low, k] - weights.knots[j, 0, k]
                tables.pieces[j, low, 1, k] = weights.knots[j, low + 1, k] - weights.knots[j, low, k]


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _score(pieces: Any, zero: Any, out: Any, features: Any, hidden: Any, scores: Any) -> None:
    units = len(out)
    bins = pieces.shape[1]
    for row in range(len(features)):
        unit = hidden[row]
        for k in range(units):
            unit[k] = zero[k]
        # most features of most candidates are 0, and add nothing
        for j in range(features.shape[1]):
            value = features[row, j]
            if not value > 0:
                continue
            at = min(value, np.float32(1.0)) * np.float32(bins)
            low = min(int(at), bins - 1)
            fraction = np.float32(at - low)
            lower_knot = pieces[j, low, 0]
            rise = pieces[j, low, 1]
            for k in range(units):
                unit[k] += lower_knot[k] + fraction * rise[k]
        score = unit[0]
        for k in range(1, units):
            if unit[k] > 0:
                score += out[k] * unit[k]
        scores[row] = score


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def shifted_logits(scores: Any, out: Any) -> float:
    """Write scores less the least, plus 1; return the logarithm of the sum of their exponentials.

    What is lifted so is above 0, and a lifted score less that logarithm is the logarithm of a chance.
    """
    minimum, largest = scores[0], scores[0]
    for row in range(1, len(scores)):
        minimum = min(minimum, scores[row])
        largest = max(largest, scores[row])
    total = np.float32(0.0)
    for row in range(len(scores)):
        out[row] = scores[row] - minimum + np.float32(1.0)
        total += np.exp(scores[row] - largest)
    return float(np.log(total) + largest - minimum + np.float32(1.0))


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def probabilities(scores: Any, log_normalizer: float, out: Any) -> None:
    """Write exp(score - logarithm), to a millionth."""
    for row in range(len(scores)):
        out[row] = np.floor(np.exp(np.float64(scores[row]) - log_normalizer) * 1e6 + 0.5) / 1e6


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _accumulate_gradient(
    weights: SoftmaxWeights,
    features: Any,
    chosen: int,
    hidden: Any,
    scores: Any,
    knots_step: Any,
    out_step: Any,
    bias_step: Any,
    minimum: float,
) -> float:
    """Add the gradient of one choice to the pending step; return the loss, -log of the chosen one's share."""
    units = len(weights.out)
    bins = weights.knots.shape[1] - 1
    largest = scores[0]
    for row in range(1, len(features)):
        largest = max(largest, scores[row])
    total = np.float32(0.0)
    for row in range(len(features)):
        total += np.exp(scores[row] - largest)
    loss = np.log(total) + largest - scores[chosen]
    if not np.isfinite(loss):
        return np.inf
    gradient = np.empty(units, np.float32)
    # most features of most candidates are 0: the slope of their first knot is what the others leave of the sum
    total_gradient = np.zeros(units, np.float32)
    nonzero_gradient = np.zeros((features.shape[1], units), np.float32)
    for row in range(len(features)):
        error = np.exp(scores[row] - largest) / total
        if row == chosen:
            error -= np.float32(1.0)
        elif error < minimum:
            continue
        error = np.float32(error)
        gradient[0] = error
        total_gradient[0] += error
        for k in range(1, units):
            active = hidden[row, k] > 0
            gradient[k] = error * weights.out[k] if active else np.float32(0.0)
            if active:
                out_step[k] += error * hidden[row, k]
            bias_step[k] += gradient[k]
            total_gradient[k] += gradient[k]
        for j in range(features.shape[1]):
            value = features[row, j]
            if not value > 0:
                continue
            at = min(value, np.float32(1.0)) * bins
            low = min(int(at), bins - 1)
            fraction = np.float32(at - low)
            complement = np.float32(1.0) - fraction
            lower_knot = knots_step[j, low]
            upper_knot = knots_step[j, low + 1]
            for k in range(units):
                lower_knot[k] += complement * gradient[k]
                upper_knot[k] += fraction * gradient[k]
                nonzero_gradient[j, k] += gradient[k]
    for j in range(features.shape[1]):
        for k in range(units):
            knots_step[j, 0, k] += total_gradient[k] - nonzero_gradient[j, k]
    return float(loss)


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _step(
    weights: SoftmaxWeights,
    knots_step: Any,
    out_step: Any,
    bias_step: Any,
    learning_rate: float,
    output_learning_rate: float,
    decay: float,
) -> None:
    """Take the pending step by Adagrad, and clear it."""
    features, knots, units = weights.knots.shape
    for j in range(features):
        for knot in range(knots):
            pending = knots_step[j, knot]
            if pending[0] == 0.0:
                continue
            value = weights.knots[j, knot]
            squares = weights.knots_square_sum[j, knot]
            for k in range(units):
                gradient = pending[k]
                squares[k] += gradient * gradient
                value[k] -= np.float32(learning_rate) * (
                    gradient / np.sqrt(squares[k]) + np.float32(decay) * value[k]
                )
                pending[k] = 0.0
    for k in range(1, units):
        gradient = out_step[k]
        weights.out_square_sum[k] += gradient * gradient
        weights.out[k] -= np.float32(output_learning_rate) * gradient / np.sqrt(weights.out_square_sum[k])
        out_step[k] = 0.0
        gradient = bias_step[k]
        weights.bias_square_sum[k] += gradient * gradient
        weights.bias[k] -= np.float32(learning_rate) * gradient / np.sqrt(weights.bias_square_sum[k])
        bias_step[k] = 0.0


@jit(fastmath=FUNCTIONS, numpy_errors=True)
def _update_average(mean: Any, value: Any, fraction: float) -> None:
    """Move a running mean towards a value, all flat."""
    for at in range(len(mean)):
        mean[at] += np.float32(fraction) * (value[at] - mean[at])


class SoftmaxRanker:
    """Listwise softmax over piecewise-linear features and a hidden layer, by Adagrad, one choice at a time.

    The chance that a candidate is chosen is proportional to ``exp(score)``; the score is a sum of one
    piecewise-linear function a feature plus a layer of rectified units whose inputs are such sums again. Each
    choice moves the weights along the gradient of -log chance of what was chosen, over all candidates at once. What
    is scored with is their running mean over about the last `AVERAGING_STEPS` steps: single choices push the weights
    about.

    Parameters
    ----------
    features
        Their number; each from 0 to 1.
    bins
        Pieces of the function of a feature.
    hidden
        Rectified units; 0 leaves the additive part alone. With 15 the units fill the processor's registers.
    learning_rate, output_learning_rate
        Step sizes of the knots and of the output weights.
    decay
        How strongly knots are pulled to 0 (L2).
    batch_size
        Choices whose gradients are added up before a step.
    seed
        Of the initial weights of the hidden units.

    Attributes
    ----------
    choices
        Choices learned.
    loss
        Decayed mean of the loss over about the last thousand, nats.

    References
    ----------
    Cao et al.: Learning to rank: from pairwise approach to listwise approach, ICML 2007 (ListNet's top-one loss).
    Duchi, Hazan, Singer: Adaptive subgradient methods, JMLR 2011 (Adagrad).
    Polyak, Juditsky: Acceleration of stochastic approximation by averaging, 1992.

    Examples
    --------
    >>> ranker = SoftmaxRanker(features=2, hidden=0)
    >>> options = np.array([[0.1, 0.9], [0.8, 0.9], [0.3, 0.9]], np.float32)
    >>> for _ in range(50):
    ...     ranker.learn(options, chosen=1)
    >>> int(ranker.score(options).argmax())
    1
    """

    def __init__(
        self,
        features: int,
        *,
        bins: int = 10,
        hidden: int = 15,
        learning_rate: float = 0.05,
        output_learning_rate: float = 0.015,
        decay: float = 0.0,
        batch_size: int = 4,
        seed: int = 7,
    ) -> None:
        self.parameters: dict[str, Any] = {
            "features": features,
            "bins": bins,
            "hidden": hidden,
            "learning_rate": learning_rate,
            "output_learning_rate": output_learning_rate,
            "decay": decay,
            "batch_size": batch_size,
            "seed": seed,
        }
        self._batch_size = batch_size
        self._clear()

    def _clear(self) -> None:
        features, bins, units = (self.parameters[name] for name in ("features", "bins", "hidden"))
        units += 1
        rng = np.random.default_rng(self.parameters["seed"])
        slopes = rng.normal(size=(features, 1, units)) / np.sqrt(20.0)
        knots = (slopes * np.linspace(0.0, 1.0, bins + 1)[None, :, None]).astype(np.float32)
        knots[:, :, 0] = 0.0
        out = (0.3 * rng.normal(size=units)).astype(np.float32)
        small = np.float32(1e-2)
        self.weights = SoftmaxWeights(
            knots,
            out,
            np.zeros(units, np.float32),
            np.full_like(knots, small),
            np.full_like(out, small),
            np.full_like(out, small),
        )
        self.mean = self.weights._replace(knots=knots.copy(), out=out.copy(), bias=self.weights.bias.copy())
        self._tables, self._mean_tables = (
            ScoringTables(np.zeros((features, bins, 2, units), np.float32), np.zeros(units, np.float32))
            for _ in range(2)
        )
        self._tabulate()
        self.steps = 0
        self._pending = (np.zeros_like(knots), np.zeros_like(out), np.zeros_like(out))
        self._hidden: Matrix = np.zeros((512, units), np.float32)
        self._scores: Matrix = np.zeros(512, np.float32)
        self.choices = 0
        self.loss = 0.0

    def score(self, features: Matrix) -> Matrix:
        """Score candidates.

        Parameters
        ----------
        features : ndarray of float32, shape (n, features)
            From 0 to 1.

        Returns
        -------
        ndarray of float32, shape (n,)
            Valid until the next call.
        """
        return self._scored(self._mean_tables, self.mean.out, features)

    def _tabulate(self) -> None:
        _tabulate(self.weights, self._tables)
        _tabulate(self.mean, self._mean_tables)

    def _scored(self, tables: ScoringTables, out: Matrix, features: Matrix) -> Matrix:
        n = len(features)
        if n > len(self._scores):
            self._hidden = np.zeros((2 * n, self._hidden.shape[1]), np.float32)
            self._scores = np.zeros(2 * n, np.float32)
        _score(*tables, out, features, self._hidden[:n], self._scores[:n])
        return self._scores[:n]

    def learn(self, features: Matrix, chosen: int) -> None:
        """Learn a choice.

        Parameters
        ----------
        features : ndarray of float32, shape (n, features)
            All that could have been chosen.
        chosen
            Row of what was.
        """
        scores = self._scored(self._tables, self.weights.out, features)
        loss = _accumulate_gradient(
            self.weights, features, chosen, self._hidden[: len(features)], scores, *self._pending, 2e-4
        )
        if not np.isfinite(loss):
            return
        self.choices += 1
        self.loss += (loss - self.loss) * max(1e-3, 1.0 / self.choices)
        if self.choices % self._batch_size == 0:
            _step(
                self.weights,
                *self._pending,
                self.parameters["learning_rate"],
                self.parameters["output_learning_rate"],
                self.parameters["decay"],
            )
            self.steps += 1
            # over the newest tenth while there are few: the first steps are long ones
            fraction = max(1.0 / AVERAGING_STEPS, 10.0 / (self.steps + 9.0))
            for mean, value in zip(self.mean[:3], self.weights[:3], strict=True):
                _update_average(mean.ravel(), value.ravel(), fraction)
            self._tabulate()

    def state(self) -> State:
        """Weights and the pending step, as plain data."""
        return versioned_state(
            "softmax",
            self.parameters,
            weights={name: array.copy() for name, array in self.weights._asdict().items()},
            pending=[array.copy() for array in self._pending],
            mean=[array.copy() for array in self.mean[:3]],
            steps=self.steps,
            choices=self.choices,
            loss=float(self.loss),
        )

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become the ranker that `state` was taken from.

        Raises
        ------
        ValueError
            If the state is of another format or of other parameters.
        """
        verify_state(state, "softmax", self.parameters)
        self._clear()
        for name, array in self.weights._asdict().items():
            array[...] = state["weights"][name]
        for array, saved in zip(
            (*self._pending, *self.mean[:3]), (*state["pending"], *state["mean"]), strict=True
        ):
            array[...] = saved
        self._tabulate()
        self.steps = int(state["steps"])
        self.choices, self.loss = int(state["choices"]), float(state["loss"])

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return sum(
            each.nbytes
            for each in (
                *self.weights,
                *self.mean[:3],
                *self._tables,
                *self._mean_tables,
                *self._pending,
                self._hidden,
                self._scores,
            )
        )
