"""The value of a choice for the rest of the session, learned from the choices that followed."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stream_app.bandit.kernels.critic import CriticSums, fold_lstd_step
from stream_app.bandit.open_sessions import OpenSession, OpenSessions
from stream_app.bandit.policy import Features, ItemReward, PolicyConfig
from stream_app.bandit.posterior import LinearPosterior
from stream_app.bandit.thompson import Thompson, ThompsonConfig
from stream_app.models.model_state import State
from stream_app.models.resident import resident_bytes


class SessionValueConfig(ThompsonConfig, frozen=True, kw_only=True):
    """Settings of `SessionValue`."""

    discount: float = 0.9
    """Value of a reward one choice later, from 0 to 1."""
    trace: float = 0.8
    """λ: 0 evaluates a choice by the critic's value of the next one, 1 by the rewards that followed."""
    ridge: float = 10.0
    """Choices that the critic's prior, 0, counts for."""
    session_gap: float = 1_800.0
    """Seconds without a choice that end a session."""
    sessions: int = 20_000
    """Maximum number of open sessions held."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.discount <= 1 or not 0 <= self.trace <= 1 or not self.ridge > 0:
            raise ValueError("discount and trace must be from 0 to 1, ridge above 0")


class SessionValue(Thompson):
    """Maximizes the reward of the whole session: a click that ends it has less value than one that is followed up.

    Two linear functions of the features, an actor and a critic:

    - the critic, U(x): discounted rewards from a choice on, once an item with features x was chosen. Least-squares
      temporal differences with traces, LSTD(λ): after each choice z ← discount · λ · z + x, and U solves
      (ridge · I + Σ z (x - discount · x')ᵀ) U = Σ z r, where x' is the next choice of the session, or 0 at its end.
      These are sums, too, and need no step size.
    - the actor, V(x): the value of an impression, its probability of a choice times U. The linear posterior of
      Thompson sampling, where the first reaction to an item of a list counts as a reward of U(x) by the current
      critic: A · mean = strength · prior + Σ x U(x). Later reactions to the same impression (a cart, a purchase) are
      part of the value of the first one and are not counted twice.

    Decisions and propensities are those of Thompson sampling on V, that is randomized value functions.

    References
    ----------
    Boyan: Least-squares temporal difference learning, ICML 1999. Lagoudakis, Parr: Least-squares policy iteration,
    JMLR 2003. Osband, Van Roy, Wen: Generalization and exploration via randomized value functions, ICML 2016.

    Examples
    --------
    Both are clicked equally often, but only the second is bought:

    >>> policy = SessionValue(features=2, prior_weight=0.0, prior_strength=1.0)
    >>> options, positions = np.eye(2, dtype=np.float32), np.array([0, 1], np.int32)
    >>> for session in range(200):
    ...     now, clicked = 10_000.0 * session, session % 2
    ...     policy.observe_impressions(options, positions, now)
    ...     policy.reward(options[clicked], clicked, 1.0, now, item=1 + clicked, user="ann")
    ...     if clicked == 1:
    ...         policy.reward(options[1], 1, 10.0, now + 60, item=2, user="ann", first=False)
    >>> policy.decide(options, k=1, seed=1).order.tolist()
    [1]
    """

    name: ClassVar[str] = "session_value"
    config_class: ClassVar[type[PolicyConfig]] = SessionValueConfig
    config: SessionValueConfig

    def __init__(self, features: int, **parameters: Any) -> None:
        super().__init__(features, **parameters)
        config = self.config
        self._discount = float(config.discount)
        self._trace_factor = float(config.discount) * float(config.trace)
        self._sessions = OpenSessions(features + 1, gap=config.session_gap, capacity=config.sessions)
        self._critic_sums = CriticSums(
            np.zeros((features + 1, features + 1)),
            np.zeros(features + 1),
            np.zeros((features + 1, features + 1)),
            np.zeros(features + 1),
        )
        self._posterior.attach_arrays(*self._critic_sums)

    def _learn_reward(self, features: Features, reward: ItemReward) -> None:
        """Learn a choice with its reward: the step from the last choice of the session to this one."""
        weight = self._posterior.weight(reward.ts)
        super()._learn_reward(features, reward)
        user = reward.user
        session = self._sessions.get(user, reward.ts) if user else None
        trace = np.zeros(self.features + 1) if session is None else session.trace.copy()
        fold_lstd_step(
            features,
            reward.value,
            reward.first,
            weight,
            self._discount,
            self._trace_factor,
            trace,
            self._critic_sums,
        )
        if user and reward.value >= 0:
            self._sessions.put(user, OpenSession(reward.ts, trace))

    @property
    def critic(self) -> NDArray[np.float64]:
        """Weights of U, intercept last, shape (features + 1,).

        In sessions that are short relative to the half-life, vᵀ Σ z (x - discount · x')ᵀ v is never below 0, so the
        ridge makes the solution unique. Without a finite solution the weights are those of the prior, 0.
        """
        decay_factor = self._posterior.decay_factor
        matrix = decay_factor * self._critic_sums.lstd_matrix + self.config.ridge * np.eye(self.features + 1)
        try:
            critic = np.asarray(
                np.linalg.solve(matrix, decay_factor * self._critic_sums.lstd_vector), np.float64
            )
        except np.linalg.LinAlgError:
            return np.zeros(self.features + 1)
        return critic if np.isfinite(critic).all() else np.zeros(self.features + 1)

    def _refreshed_posterior(self) -> LinearPosterior:
        if self._posterior.stale:
            critic = self.critic
            critic_values = self._critic_sums.choice_products @ critic
            # a first choice counts as a reward of U(x); `reward_scale` is their root mean square
            square_sum, count = (
                float(critic @ critic_values),
                float(self._critic_sums.choice_products[-1, -1]),
            )
            # after a long time without events the count may underflow before the squares
            reward_scale = math.sqrt(square_sum / count) if square_sum > 0 and count > 0 else 1.0
            self._posterior.refresh(critic_values + self._critic_sums.dislikes, reward_scale)
        return self._posterior

    def forget_user(self, user: str) -> None:
        """Drop the open session of a user."""
        self._sessions.forget(user)

    def _get_state(self) -> State:
        return {
            **super()._get_state(),
            "critic": [array.copy() for array in self._critic_sums],
            "sessions": self._sessions.state(),
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        super()._set_state(state)
        for array, saved in zip(self._critic_sums, state["critic"], strict=True):
            array[...] = saved
        self._sessions.restore(state["sessions"])

    def memory(self) -> int:
        """Memory in bytes, to within a few percent."""
        return super().memory() + resident_bytes(self._critic_sums) + self._sessions.memory()
