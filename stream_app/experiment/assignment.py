"""Assignment of users to policies by a hash, so that it is stable."""

import math
from collections.abc import Collection, Mapping
from typing import Final

from stream_app.models.id_index import stable_hash

_UINT64_MASK: Final = (1 << 64) - 1


class Assignment:
    """Splits users between policies by weights.

    A hash of user and policy gives a uniform number u; a user gets the policy with the largest log(u) / weight. Each
    policy thus gets its fraction of the users, a user keeps the policy while the weights stay, and a change of one
    weight only moves users to or from that policy.

    Parameters
    ----------
    weights
        Weight of each policy, 0 or more; only ratios count.
    paused
        Policies that get no users, regardless of their weights.
    control
        The policy that gets all users if all policies with a weight are paused. If it has no weight itself, the
        pauses are ignored in that case.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, or none is above 0.

    References
    ----------
    Thaler, Ravishankar: Using name-based mappings to increase hit rates, IEEE/ACM ToN 1998 (rendezvous hashing);
    Schindelhauer, Schomaker: Weighted distributed hash tables, SPAA 2005 (the logarithm method).

    Examples
    --------
    >>> assignment = Assignment({"thompson": 0.9, "fixed": 0.1})
    >>> policies = [assignment.policy_of(f"user {n}") for n in range(1000)]
    >>> policies.count("thompson")
    911
    >>> assignment.fraction("thompson")
    0.9
    """

    def __init__(self, weights: Mapping[str, float], paused: Collection[str] = (), control: str = "") -> None:
        for name, weight in weights.items():
            if not (math.isfinite(weight) and weight >= 0):
                raise ValueError(f"the weight of policy {name!r} must be 0 or more, not {weight!r}")
        if not any(weight > 0 for weight in weights.values()):
            raise ValueError("one policy at least needs a weight above 0")
        self.weights: Final = dict(sorted(weights.items()))
        self.paused: Final = frozenset(paused)
        self.control: Final = control
        weighted = {name: weight for name, weight in self.weights.items() if weight > 0}
        active = {name: weight for name, weight in weighted.items() if name not in self.paused}
        fallback = {control: weighted[control]} if control in weighted else weighted
        self._active: Final = active or fallback
        # relative to the largest: logarithms are divided by tiny weights otherwise
        top = max(self._active.values())
        self._salts: Final = [
            (name, stable_hash(name) | 1, weight / top) for name, weight in self._active.items()
        ]

    def policy_of(self, user_id: str) -> str:
        """The policy of a user."""
        salts = self._salts
        if len(salts) == 1:
            return salts[0][0]
        user_hash = stable_hash(user_id)
        best, chosen = -math.inf, salts[0][0]
        for name, salt, weight in salts:
            score = math.log((_mix64(user_hash ^ salt) + 1) / (_UINT64_MASK + 2)) / weight
            if score > best:
                best, chosen = score, name
        return chosen

    def fraction(self, policy: str) -> float:
        """Fraction of the users that a policy gets, from 0 to 1."""
        return self._active.get(policy, 0.0) / sum(self._active.values())


def _mix64(word: int) -> int:
    """Mix a 64-bit word so that every output bit depends on every input bit (the finalizer of SplitMix64)."""
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _UINT64_MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _UINT64_MASK
    return word ^ (word >> 31)
