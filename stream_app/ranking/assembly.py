"""From settings to models, their fusion and a ranker: the one place where these are put together."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from stream_app.errors import UserError
from stream_app.experiment.assignment import Assignment
from stream_app.experiment.comparison import PolicyComparison
from stream_app.experiment.live_policies import LivePolicies
from stream_app.models.model_set import ModelSet
from stream_app.models.registry import SETTING
from stream_app.models.session_store_model import SessionStoreModel
from stream_app.ranking.fusion.learned import LearnedFusion
from stream_app.ranking.fusion.weighted import WeightedFusion
from stream_app.ranking.list_rules import ListRules
from stream_app.ranking.ranker import Ranker
from stream_app.ranking.search.results_ranker import MAX_USERS, ResultsRanker


class RankingSettings(Protocol):
    """The settings that models and rankers are made by; `stream_app.settings.Settings` has them."""

    @property
    def models(self) -> Sequence[str]:
        """Names of the models."""

    @property
    def model_parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """Hyper-parameters of single models."""

    @property
    def fusion(self) -> str:
        """``learned``, ``weighted``, ``rrf`` or ``borda``."""

    @property
    def max_items(self) -> int:
        """Items remembered."""

    @property
    def max_users(self) -> int:
        """Shoppers remembered."""

    @property
    def half_life(self) -> float:
        """Seconds in which a count loses half its weight."""

    @property
    def session_gap(self) -> float:
        """Seconds of inactivity that close a session."""

    @property
    def outlier_z(self) -> float:
        """Standard deviations beyond which an order line is not learned."""

    @property
    def policies(self) -> Mapping[str, float]:
        """How shoppers are split between policies, by weights."""

    @property
    def policy_parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """Settings of single policies."""

    @property
    def seed(self) -> int:
        """Of everything that chance plays a part in."""

    @property
    def candidates_per_source(self) -> int:
        """Candidates asked of each model."""

    @property
    def list_rules(self) -> ListRules:
        """What lists keep to beside being good."""

    @property
    def list_length(self) -> int:
        """Items on a list."""


FUSION: Final = "fusion"
"""Among the models' hyper-parameters, those of the fusion that learns."""


def fusion_parameters(settings: RankingSettings) -> dict[str, Any]:
    """Hyper-parameters of the learned fusion that the settings give.

    Raises
    ------
    UserError
        If it has no parameter of a name, or a value is not of its kind.
    """
    parameters, defaults = dict(settings.model_parameters.get(FUSION, {})), LearnedFusion.hyper_parameters()
    for name, value in parameters.items():
        if name not in defaults:
            raise UserError(f"{SETTING}: {FUSION} has no {name!r}; it has {', '.join(defaults)}.")
        is_integer = isinstance(defaults[name], int)
        valid = isinstance(value, int) if is_integer else isinstance(value, int | float)
        minimum = 0 if name in ("decay", "hidden") else 1 if is_integer else 1e-9
        if not valid or isinstance(value, bool) or not value >= minimum:
            kind = "whole number" if is_integer else "number"
            raise UserError(
                f"{SETTING}: {name} of {FUSION} is a {kind} from {minimum:g} on (by default {defaults[name]}), "
                f"not {value!r}."
            )
    return parameters


def make_models(settings: RankingSettings) -> ModelSet:
    """The models that the settings name, empty, with the fusion and the order of results that learn along with them.

    The learned fusion goes by the session store; where no model on it runs, nothing is learned and lists are
    fused by rank.
    """
    models = ModelSet(
        settings.models,
        max_items=settings.max_items,
        max_users=settings.max_users,
        half_life=settings.half_life,
        session_gap=settings.session_gap,
        outlier_z=settings.outlier_z,
        seed=settings.seed,
        overrides={
            name: parameters for name, parameters in settings.model_parameters.items() if name != FUSION
        },
    )
    per_source, seed = settings.candidates_per_source, settings.seed
    if settings.fusion == "learned" and any(isinstance(model, SessionStoreModel) for model in models.models):
        overrides = fusion_parameters(settings)
        models.learners.append(LearnedFusion(models, per_source=per_source, seed=seed, **overrides))
    elif settings.fusion == "weighted":
        models.learners.append(WeightedFusion(models, per_source=per_source, seed=seed))
    models.learners.append(
        ResultsRanker(
            session_gap=settings.session_gap,
            max_users=min(settings.max_users, MAX_USERS),
            max_items=settings.max_items,
            seed=seed,
        )
    )
    try:
        assignment = Assignment(settings.policies)
    except ValueError as error:
        raise UserError(f"HEADRACE_POLICIES: {error}.") from None
    models.learners.append(LivePolicies(models, assignment, seed=seed, settings=settings.policy_parameters))
    models.learners.append(PolicyComparison(settings.max_users))
    return models


def make_ranker(models: ModelSet, settings: RankingSettings, length: int | None = None) -> Ranker:
    """A ranker over models that `make_models` made; lists of `length`, or as long as the settings say."""
    return Ranker(
        models,
        per_source=settings.candidates_per_source,
        length=length or settings.list_length,
        borda=settings.fusion == "borda",
        rules=settings.list_rules,
    )
