"""A listwise ranker over piecewise-linear features and a hidden layer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.ranking.fusion.listwise import ListwiseRanker, Matrix
from stream_app.ranking.kernels import softmax as kernels
from stream_app.ranking.kernels.softmax import PendingStep, ScoringTables, SoftmaxWeights

AVERAGING_STEPS: Final = 1_000
"""Steps that the weights are averaged over."""

FIRST_SQUARE_SUM: Final = 1e-2
"""Sum of squared gradients before anything is learned."""

_MIN_PROBABILITY: Final = 2e-4
"""Less probable rows are left out of the gradient: they change it by less than their computation costs."""


class SoftmaxRanker(ListwiseRanker):
    """Listwise softmax over piecewise-linear features and a hidden layer, by Adagrad, one choice at a time.

    The score is a sum of one piecewise-linear function a feature plus a layer of rectified units whose inputs are
    such sums again. Single choices move the weights to and fro, so scores are computed with their running mean over
    about the last `AVERAGING_STEPS` steps. See `ListwiseRanker` for the loss.

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
    late
        Features whose initial weights are 0 and not random: those of a model that may have no scores at first. They
        change no score until they have learned.
    optional
        Further features whose initial weights are 0: with and without them, the others begin with the same weights.

    Attributes
    ----------
    is_late_idle
        Whether `late` features have no values now: their weights stay as they are then, so that everything is learned
        as without these features.

    References
    ----------
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

    state_name: ClassVar[str] = "softmax"

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
        late: Sequence[int] = (),
        optional: Sequence[int] = (),
    ) -> None:
        parameters: dict[str, Any] = {
            "features": features,
            "bins": bins,
            "hidden": hidden,
            "learning_rate": learning_rate,
            "output_learning_rate": output_learning_rate,
            "decay": decay,
            "batch_size": batch_size,
            "seed": seed,
        }
        super().__init__(parameters)
        units = hidden + 1
        rng = np.random.default_rng(seed)
        self._late = list(late)
        self.is_late_idle = False
        slopes = np.zeros((features, 1, units))
        drawn = np.setdiff1d(np.arange(features), [*late, *optional])
        slopes[drawn] = rng.normal(size=(len(drawn), 1, units)) / np.sqrt(20.0)
        knots = (slopes * np.linspace(0.0, 1.0, bins + 1)[None, :, None]).astype(np.float32)
        knots[:, :, 0] = 0.0
        out = (0.3 * rng.normal(size=units)).astype(np.float32)
        small = np.float32(FIRST_SQUARE_SUM)
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
        self._pending = PendingStep(np.zeros_like(knots), np.zeros_like(out), np.zeros_like(out))
        self._hidden: Matrix = np.zeros((512, units), np.float32)
        self._scores: Matrix = np.zeros(512, np.float32)

    def score(self, features: Matrix) -> Matrix:
        """Score candidates by the mean of the weights; see `ListwiseRanker.score`."""
        return self._score(self._mean_tables, self.mean.out, features)

    def _tabulate(self) -> None:
        kernels.tabulate(self.weights, self._tables)
        kernels.tabulate(self.mean, self._mean_tables)

    def _score(self, tables: ScoringTables, out: Matrix, features: Matrix) -> Matrix:
        n = len(features)
        if n > len(self._scores):
            self._hidden = np.zeros((2 * n, self._hidden.shape[1]), np.float32)
            self._scores = np.zeros(2 * n, np.float32)
        kernels.score(*tables, out, features, self._hidden[:n], self._scores[:n])
        return self._scores[:n]

    def _learn(self, features: Matrix, chosen: int) -> float:
        scores = self._score(self._tables, self.weights.out, features)
        return kernels.accumulate_gradient(
            self.weights,
            features,
            chosen,
            self._hidden[: len(features)],
            scores,
            self._pending,
            _MIN_PROBABILITY,
        )

    def _choice_learned(self) -> None:
        parameters = self.parameters
        if self.choices % parameters["batch_size"]:
            return
        if self.is_late_idle:
            # the gradient of a feature that is 0 moves the bias once more
            self._pending.knots[self._late] = 0.0
        kernels.take_step(
            self.weights,
            self._pending,
            parameters["learning_rate"],
            parameters["output_learning_rate"],
            parameters["decay"],
        )
        self.steps += 1
        # over the newest tenth while there are few: the first steps are long ones
        fraction = max(1.0 / AVERAGING_STEPS, 10.0 / (self.steps + 9.0))
        for mean, value in zip(self.mean[:3], self.weights[:3], strict=True):
            kernels.update_average(mean.ravel(), value.ravel(), fraction)
        self._tabulate()

    def _learned_arrays(self) -> dict[str, NDArray[Any]]:
        return {
            **self.weights._asdict(),
            **{f"pending_{name}": array for name, array in self._pending._asdict().items()},
            "mean_knots": self.mean.knots,
            "mean_out": self.mean.out,
            "mean_bias": self.mean.bias,
        }

    def _scratch_arrays(self) -> Iterable[NDArray[Any]]:
        return (*self._tables, *self._mean_tables, self._hidden, self._scores)

    def _counts(self) -> dict[str, int]:
        return {"steps": self.steps}

    def _restored(self, counts: Mapping[str, int]) -> None:
        self.steps = int(counts["steps"])
        self._tabulate()
