"""Search spaces of `headrace tune`: hyperparameters of each model and their ranges.

Memory bounds, which the operator chooses, and seeds are not searched. A new model adds its entry here.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from stream_app.errors import UserError
from stream_app.models.model_sources import find_source
from stream_app.models.registry import MODELS, TRAINED_MODELS, known_models
from stream_app.ranking.assembly import FUSION

SESSION_STORE: Final = "session_store"
"""The store that several models and the learned fusion share."""

FUSED_LIST_TARGETS: Final = (SESSION_STORE, FUSION)
"""Targets that are not models; they are tuned for the fused lists."""

EVENT_LOG_MODELS: Final = frozenset({"content", "search"})
"""Models that learn from events that session files lack; tuned on an event log."""

_HOUR: Final = 3_600.0
_DAY: Final = 86_400.0


class FloatRange(NamedTuple):
    """A real interval; `log`: sampled on a logarithmic scale."""

    low: float
    high: float
    log: bool = False

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


class IntegerRange(NamedTuple):
    """An integer interval, bounds included; `log`: sampled on a logarithmic scale."""

    low: int
    high: int
    log: bool = False

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and self.low <= value <= self.high


class Categorical(NamedTuple):
    """One of several values."""

    choices: tuple[str, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.choices


Dimension = FloatRange | IntegerRange | Categorical
Space = Mapping[str, Dimension]

_HALF_LIFE: Final = FloatRange(_HOUR, 180 * _DAY, log=True)
SPACES: Final[dict[str, Space]] = {
    "popularity": {"half_life": _HALF_LIFE},
    "item_to_item": {
        "half_life": _HALF_LIFE,
        "time_scale": FloatRange(1.0, 10_000.0, log=True),
        "neighbors": IntegerRange(20, 300, log=True),
        "depth": IntegerRange(1, 20),
        "context_decay": FloatRange(0.2, 1.0),
        "penalty": FloatRange(0.0, 1.0),
        "similarity": Categorical(("cosine", "jaccard", "pearson", "lift")),
    },
    "biased_mf": {
        "n_factors": IntegerRange(8, 64, log=True),
        "learning_rate": FloatRange(0.01, 0.5, log=True),
        "l2": FloatRange(1e-5, 0.1, log=True),
        "clip": FloatRange(0.5, 8.0, log=True),
        "negatives": FloatRange(0.0, 4.0),
    },
    # the numbers of sessions and clicks are memory bounds
    SESSION_STORE: {
        "postings": IntegerRange(40, 400, log=True),
        "depth": IntegerRange(2, 8),
        "neighbors": IntegerRange(100, 1_000, log=True),
        "bridges": IntegerRange(4, 64, log=True),
        "bridge_postings": IntegerRange(10, 100, log=True),
        # 0: no decay
        "session_half_life": FloatRange(0.0, 365 * _DAY),
    },
    # the listwise softmax, `stream_app.ranking.fusion.softmax`
    FUSION: {
        "hidden": IntegerRange(3, 31, log=True),
        "learning_rate": FloatRange(0.005, 0.3, log=True),
        "output_learning_rate": FloatRange(0.002, 0.1, log=True),
        "decay": FloatRange(0.0, 0.01),
        "batch_size": IntegerRange(1, 16, log=True),
    },
    "session_knn": {"repeat": FloatRange(0.0, 3.0), "weighting": Categorical(("stan", "vsknn"))},
    "sequential_rules": {"second_weight": FloatRange(0.0, 1.0)},
    "two_hop": {"direct_weight": FloatRange(0.0, 4.0), "penalty": FloatRange(0.0, 1.0)},
    "item_vectors": {
        "n_factors": IntegerRange(16, 96, log=True),
        "negatives": IntegerRange(32, 256, log=True),
        "recent_clicks": IntegerRange(1_024, 65_536, log=True),
        "scale": FloatRange(2.0, 20.0, log=True),
        "learning_rate": FloatRange(0.05, 1.0, log=True),
    },
    "repeats": {"prior": FloatRange(1.0, 1_000.0, log=True)},
    "user_knn": {
        "half_life": _HALF_LIFE,
        "user_items": IntegerRange(8, 64, log=True),
        "postings": IntegerRange(16, 256, log=True),
        "neighbors": IntegerRange(10, 300, log=True),
        "depth": IntegerRange(1, 20),
        "similarity": Categorical(("cosine", "jaccard", "pearson")),
    },
    "trending": {
        "window": FloatRange(600.0, _DAY, log=True),
        "buckets": IntegerRange(2, 24, log=True),
        "long_half_life": FloatRange(_DAY, 60 * _DAY, log=True),
    },
    "content": {
        "terms": IntegerRange(8, 64, log=True),
        "postings": IntegerRange(8, 128, log=True),
        "query_terms_used": IntegerRange(4, 32, log=True),
        "attribute_weight": FloatRange(0.0, 8.0),
        "depth": IntegerRange(1, 16),
        "context_decay": FloatRange(0.2, 1.0),
    },
    "search": {
        "half_life": _HALF_LIFE,
        "query_items": IntegerRange(16, 256, log=True),
        "word_items": IntegerRange(16, 512, log=True),
        "prior": FloatRange(0.1, 100.0, log=True),
    },
    "bpr": {
        "n_factors": IntegerRange(8, 64, log=True),
        "learning_rate": FloatRange(0.01, 0.5, log=True),
        "l2": FloatRange(1e-5, 0.1, log=True),
        "negatives": IntegerRange(1, 8),
        "depth": IntegerRange(1, 10),
    },
}
"""Search space by model or fused-list target."""


def search_space(name: str) -> Space:
    """The search space of a model, of `SESSION_STORE` or of the learned fusion.

    Raises
    ------
    UserError
        If there is no such model, or it has no search space.

    Examples
    --------
    >>> search_space("popularity")
    {'half_life': FloatRange(low=3600.0, high=15552000.0, log=True)}
    >>> search_space("popularty")
    Traceback (most recent call last):
    stream_app.errors.UserError: --model: there is no model 'popularty'; there are popularity, item_to_item, ...
    """
    if name not in FUSED_LIST_TARGETS and find_source(name, MODELS | TRAINED_MODELS) is None:
        known_names = ", ".join((*known_models(), *FUSED_LIST_TARGETS))
        raise UserError(f"--model: there is no model {name!r}; there are {known_names}.")
    if name not in SPACES:
        raise UserError(
            f"--model: {name!r} has no search space, only {', '.join(SPACES)} have one; "
            "add its ranges to stream_app/tools/evaluation/search_spaces.py."
        )
    return SPACES[name]


def in_space(space: Space, parameters: Mapping[str, Any]) -> bool:
    """Whether all parameters are within their ranges.

    Examples
    --------
    >>> in_space({"depth": IntegerRange(1, 8)}, {"depth": 9, "seed": 7})
    False
    """
    return all(parameters[name] in dimension for name, dimension in space.items())
