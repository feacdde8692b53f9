"""From configuration to models, their fusion and a ranker: the only module that assembles them."""

from inspect import isclass
from typing import Any, Final

from stream_app.errors import UserError
from stream_app.experiment.assignment import Assignment
from stream_app.experiment.comparison import PolicyComparison
from stream_app.experiment.live_policies import LivePolicies
from stream_app.models.model_set import ModelSet
from stream_app.models.plugins import FUSIONS as PLUGIN_FUSIONS
from stream_app.models.plugins import load_plugin
from stream_app.models.registry import SETTING
from stream_app.models.session_store_model import SessionStoreModel
from stream_app.ranking.config import FUSIONS, ModelsConfig, RankingConfig
from stream_app.ranking.fusion.choice_fusion import ChoiceFusion
from stream_app.ranking.fusion.learned import LearnedFusion
from stream_app.ranking.fusion.weighted import WeightedFusion
from stream_app.ranking.ranker import Ranker
from stream_app.ranking.search.results_ranker import MAX_USERS, ResultsRanker

FUSION: Final = "fusion"
"""Key of the learned fusion among the models' hyperparameters."""


def fusion_parameters(config: ModelsConfig) -> dict[str, Any]:
    """Check the configured hyperparameters of the learned fusion and return them.

    Raises
    ------
    UserError
        If the fusion has no parameter of a name, or a value is of another type or out of range.
    """
    parameters, defaults = dict(config.parameters.get(FUSION, {})), LearnedFusion.hyper_parameters()
    for name, value in parameters.items():
        if name not in defaults:
            raise UserError(f"{SETTING}: {FUSION} has no {name!r}; it has {', '.join(defaults)}.")
        is_integer = isinstance(defaults[name], int)
        valid = isinstance(value, int) if is_integer else isinstance(value, int | float)
        minimum = 0 if name in ("decay", "hidden", "new_item_bonus") else 1 if is_integer else 1e-9
        if not valid or isinstance(value, bool) or not value >= minimum:
            kind = "whole number" if is_integer else "number"
            raise UserError(
                f"{SETTING}: {name} of {FUSION} is a {kind} from {minimum:g} on (by default {defaults[name]}), "
                f"not {value!r}."
            )
    return parameters


def _registered_fusion(config: RankingConfig, models: ModelSet) -> ChoiceFusion:
    """The fusion that an installed package registers; it gets the hyperparameters under `FUSION`.

    Raises
    ------
    UserError
        If it is no subclass of `ChoiceFusion`, or does not accept the hyperparameters.
    """
    name, parameters = config.fusion, config.models.parameters.get(FUSION, {})
    fusion: Any = load_plugin(PLUGIN_FUSIONS, name)
    if not (isclass(fusion) and issubclass(fusion, ChoiceFusion)):
        raise UserError(
            f"{PLUGIN_FUSIONS}: {name!r} is {fusion!r}, which is no subclass of "
            "stream_app.ranking.fusion.choice_fusion.ChoiceFusion."
        )
    make: Any = fusion
    arguments = {"per_source": config.candidates_per_source, "seed": config.models.seed, **parameters}
    try:
        made: ChoiceFusion = make(models, **arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"{SETTING}: {FUSION}: {error}.") from error
    return made


def make_models(config: RankingConfig) -> ModelSet:
    """Make the configured models, empty, with their learners: fusion, results ranker, policies, comparison.

    The learned fusion needs a model on the session store. Without one it is left out, and lists are fused by
    reciprocal ranks.

    Raises
    ------
    UserError
        If a hyperparameter or the split of the policies is invalid.
    """
    of_models, per_source, seed = config.models, config.candidates_per_source, config.models.seed
    models = ModelSet(
        of_models.names,
        max_items=of_models.max_items,
        max_users=of_models.max_users,
        half_life=of_models.half_life,
        session_gap=of_models.session_gap,
        outlier_z=of_models.outlier_z,
        seed=seed,
        overrides={name: parameters for name, parameters in of_models.parameters.items() if name != FUSION},
    )
    if config.fusion == "learned" and any(isinstance(model, SessionStoreModel) for model in models.models):
        overrides = fusion_parameters(of_models)
        models.learners.append(
            LearnedFusion(
                models,
                per_source=per_source,
                seed=seed,
                switch_sources=config.switch_sources,
                **overrides,
            )
        )
    elif config.fusion == "weighted":
        models.learners.append(WeightedFusion(models, per_source=per_source, seed=seed))
    elif config.fusion not in FUSIONS:
        models.learners.append(_registered_fusion(config, models))
    models.learners.append(
        ResultsRanker(
            session_gap=of_models.session_gap,
            max_users=min(of_models.max_users, MAX_USERS),
            max_items=of_models.max_items,
            seed=seed,
        )
    )
    try:
        assignment = Assignment(config.policies)
    except ValueError as error:
        raise UserError(f"HEADRACE_POLICIES: {error}.") from None
    models.learners.append(LivePolicies(models, assignment, seed=seed, settings=config.policy_parameters))
    models.learners.append(PolicyComparison(of_models.max_users))
    return models


def make_ranker(models: ModelSet, config: RankingConfig, length: int | None = None) -> Ranker:
    """Make a ranker over models of `make_models`; its lists have `length` items, by default as configured."""
    return Ranker(
        models,
        per_source=config.candidates_per_source,
        length=length or config.list_length,
        borda=config.fusion == "borda",
        rules=config.list_rules,
    )
