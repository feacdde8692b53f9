"""From settings to models, their fusion and a ranker: the one place where these are put together."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from stream_app.errors import UserError
from stream_app.models.model_set import ModelSet
from stream_app.models.store_model import StoreModel
from stream_app.ranker.learned import LearnedFusion
from stream_app.ranker.list_rules import ListRules
from stream_app.ranker.live.comparison import Comparison
from stream_app.ranker.live.policies import LivePolicies
from stream_app.ranker.live.shares import Shares
from stream_app.ranker.ranker import Ranker
from stream_app.ranker.results import MAX_SHOPPERS, ResultsRanker
from stream_app.ranker.weighted import WeightedFusion


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
        """``learned``, ``weighted``, ``rrf`` or ``votes``."""

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
        own=settings.model_parameters,
    )
    per_source, seed = settings.candidates_per_source, settings.seed
    if settings.fusion == "learned" and any(isinstance(model, StoreModel) for model in models.models):
        models.listeners.append(LearnedFusion(models, per_source=per_source, seed=seed))
    elif settings.fusion == "weighted":
        models.listeners.append(WeightedFusion(models, per_source=per_source, seed=seed))
    models.listeners.append(
        ResultsRanker(
            session_gap=settings.session_gap,
            max_shoppers=min(settings.max_users, MAX_SHOPPERS),
            max_items=settings.max_items,
            seed=seed,
        )
    )
    try:
        shares = Shares(settings.policies)
    except ValueError as error:
        raise UserError(f"HEADRACE_POLICIES: {error}.") from None
    models.listeners.append(LivePolicies(models, shares, seed=seed, settings=settings.policy_parameters))
    models.listeners.append(Comparison(settings.max_users))
    return models


def make_ranker(models: ModelSet, settings: RankingSettings, length: int | None = None) -> Ranker:
    """A ranker over models that `make_models` made; lists of `length`, or as long as the settings say."""
    return Ranker(
        models,
        per_source=settings.candidates_per_source,
        length=length or settings.list_length,
        votes=settings.fusion == "votes",
        rules=settings.list_rules,
    )
