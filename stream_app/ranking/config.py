"""Configuration of models, fusion and lists, as plain data: light, so that settings can build it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from stream_app.ranking.list_rules import NO_RULES, ListRules

FUSIONS: Final = ("learned", "weighted", "rrf", "borda")
"""Fusions of Headrace; installed packages may register others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelsConfig:
    """Configuration of the models."""

    names: Sequence[str]  # models to run, in the order of their candidates
    # hyperparameters by model; those of the fusion are under `stream_app.ranking.assembly.FUSION`
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    max_items: int = 200_000  # maximum number of items in the models
    max_users: int = 200_000  # maximum number of users in the models
    half_life: float = 86_400.0  # seconds in which a count loses half its weight
    session_gap: float = 1_800.0  # seconds of inactivity that close a session
    outlier_z: float = 6.0  # standard deviations beyond which an order line is not learned; 0 to learn all
    seed: int = 7  # seed of all random generators


@dataclass(frozen=True, kw_only=True, slots=True)
class RankingConfig:
    """Configuration of the lists."""

    models: ModelsConfig
    fusion: str = "learned"  # of `FUSIONS`, or registered by an installed package
    switch_sources: bool = True  # whether the learned fusion pauses sources that bring nothing
    candidates_per_source: int = 100  # number of candidates from each model
    list_length: int = 20  # items on a list
    list_rules: ListRules = NO_RULES  # rules that lists satisfy besides relevance
    # initial split of users between ranking policies, by weights
    policies: Mapping[str, float] = field(default_factory=lambda: {"thompson": 0.9, "fixed": 0.1})
    policy_parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
