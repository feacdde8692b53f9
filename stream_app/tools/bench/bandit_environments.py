"""The environments that policies are compared on: two of River's, and a linear one."""

from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]

RIVER_NEEDED: Final = (
    "The bandit environments of River need the package gymnasium: pip install 'headrace[evaluate]'."
)


class BanditEnvironment(Protocol):
    """One run of an environment.

    Attributes
    ----------
    features : ndarray of float32, shape (arms, features)
        Features of the arms at this step.
    context
        Context of all arms, for policies with a model per arm; None without a context.
    regret
        Expected reward of the best policy less that of the pulls.
    """

    features: Features
    context: dict[int, float] | None
    regret: float

    def pull(self, arm: int) -> float:
        """Pull an arm and start the next step."""
        ...


class TenArmedTestbed:
    """River's ten-armed testbed: rewards normal around each arm's mean, which is standard normal."""

    steps: Final = 1_000

    def __init__(self, seed: int) -> None:
        from river.bandit import envs  # noqa: PLC0415  # gymnasium is optional

        self._env = envs.KArmedTestbed(10)
        self._env.reset(seed=seed)
        self._means: list[float] = self._env._actual_rewards  # noqa: SLF001  # no public attribute has them
        self.features: Features = np.eye(10, dtype=np.float32)
        self.context: dict[int, float] | None = None
        self.regret = 0.0

    def pull(self, arm: int) -> float:
        """Pull an arm."""
        self.regret += max(self._means) - self._means[arm]
        return float(self._env.step(arm)[1])


class CandyCaneProblem:
    """River's candy cane contest: a hundred arms; each pull lowers the reward probability of the arm by 3 %.

    The best policy pulls the arm with the largest true probability.
    """

    steps: Final = 2_000

    def __init__(self, seed: int) -> None:
        from river.bandit import envs  # noqa: PLC0415  # gymnasium is optional

        self._env = envs.CandyCaneContest()
        _, info = self._env.reset(seed=seed)
        self._probabilities: Any = info["thresholds"]
        self._best = np.array(self._probabilities)
        self._decay = 1.0 - self._env.reward_decay
        self.features: Features = np.eye(100, dtype=np.float32)
        self.context: dict[int, float] | None = None
        self.regret = 0.0

    def pull(self, arm: int) -> float:
        """Pull an arm."""
        best = self._best.argmax()
        self.regret += self._best[best] - self._probabilities[arm]
        self._best[best] *= self._decay
        _, reward, _, _, info = self._env.step(arm)
        self._probabilities = info["thresholds"]
        return float(reward)


class LinearProblem:
    """Users and 20 items with 12 features: a reward is normal around θ · (user * item), with θ unknown.

    A policy with a weight vector per item can learn it, too, from the features of the user alone.
    """

    steps: Final = 1_000
    n_features: Final = 12
    arms: Final = 20
    noise: Final = 0.5

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._weights = self._rng.normal(size=self.n_features) / np.sqrt(self.n_features)
        self._items = self._rng.normal(size=(self.arms, self.n_features))
        self.regret = 0.0
        self._next_step()

    def _next_step(self) -> None:
        user = self._rng.normal(size=self.n_features)
        features = user * self._items
        self._means = features @ self._weights
        self.features: Features = features.astype(np.float32)
        self.context: dict[int, float] | None = dict(enumerate(user.tolist()))

    def pull(self, arm: int) -> float:
        """Pull an arm."""
        self.regret += float(self._means.max() - self._means[arm])
        reward = float(self._means[arm] + self.noise * self._rng.normal())
        self._next_step()
        return reward


ENVIRONMENTS: Final[dict[str, Any]] = {
    "KArmedTestbed": TenArmedTestbed,
    "CandyCaneContest": CandyCaneProblem,
    "LinearProblem": LinearProblem,
}
"""The environments, by their name in the report."""
