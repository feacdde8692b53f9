"""Configuration of models, fusion and lists, as plain data: light, so that settings can build it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from stream_app.ranking.list_rules import NO_RULES, ListRules

FusionName = Literal["learned", "weighted", "rrf", "borda"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelsConfig:
    """Configuration of the models.

    Attributes
    ----------
    names
        Models to run, in the order of their candidates.
    parameters
        Hyperparameters by model; those of the fusion are under `stream_app.ranking.assembly.FUSION`.
    max_items
        Maximum number of items in the models.
    max_users
        Maximum number of users in the models.
    half_life
        Seconds in which a count loses half its weight.
    session_gap
        Seconds of inactivity that close a session.
    outlier_z
        Standard deviations beyond which an order line is not learned; 0 to learn all.
    seed
        Seed of all random generators.
    """

    names: Sequence[str]
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    max_items: int = 200_000
    max_users: int = 200_000
    half_life: float = 86_400.0
    session_gap: float = 1_800.0
    outlier_z: float = 6.0
    seed: int = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class RankingConfig:
    """Configuration of the lists.

    Attributes
    ----------
    models
        Configuration of the models.
    fusion
        Fusion of the models' candidates.
    candidates_per_source
        Number of candidates from each model.
    list_length
        Items on a list.
    list_rules
        Rules that lists satisfy besides relevance.
    policies
        Initial split of users between ranking policies, by weights.
    policy_parameters
        Parameters by policy.
    """

    models: ModelsConfig
    fusion: FusionName = "learned"
    candidates_per_source: int = 100
    list_length: int = 20
    list_rules: ListRules = NO_RULES
    policies: Mapping[str, float] = field(default_factory=lambda: {"fixed": 1.0})
    policy_parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
