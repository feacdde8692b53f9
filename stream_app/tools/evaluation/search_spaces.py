"""What `headrace tune` searches: for each model its hyper-parameters and their ranges.

Bounds of memory that an operator chooses (shoppers or segments remembered) and seeds are not searched. A new model
adds its entry here.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from stream_app.errors import UserError
from stream_app.models.registry import MODELS
from stream_app.ranking.assembly import FUSION

STORE: Final = "session_store"
FUSED: Final = (STORE, FUSION)
"""What is tuned for the fused lists: it is no model."""

"""Stands for the store that several models and the learned fusion share; it is searched for the fused lists."""

EVENTS: Final = frozenset({"content", "search"})
"""Models that learn from what session files do not have; searched on an event log."""

_HOUR: Final = 3_600.0
_DAY: Final = 86_400.0


class Real(NamedTuple):
    """A number between two others; `log`: on a logarithmic scale."""

    low: float
    high: float
    log: bool = False

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


class Whole(NamedTuple):
    """An integer between two others, both among the choices; `log`: on a logarithmic scale."""

    low: int
    high: int
    log: bool = False

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and self.low <= value <= self.high


class OneOf(NamedTuple):
    """One of several names."""

    choices: tuple[str, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.choices


Dimension = Real | Whole | OneOf
Space = Mapping[str, Dimension]

_HALF_LIFE: Final = Real(_HOUR, 180 * _DAY, log=True)
SPACES: Final[dict[str, Space]] = {
    "popularity": {"half_life": _HALF_LIFE},
    "item_to_item": {
        "half_life": _HALF_LIFE,
        "reach": Real(1.0, 10_000.0, log=True),
        "neighbours": Whole(20, 300, log=True),
        "depth": Whole(1, 20),
        "fade": Real(0.2, 1.0),
        "penalty": Real(0.0, 1.0),
        "similarity": OneOf(("cosine", "jaccard", "pearson", "lift")),
    },
    "biased_mf": {
        "factors": Whole(8, 64, log=True),
        "learning_rate": Real(0.01, 0.5, log=True),
        "l2": Real(1e-5, 0.1, log=True),
        "clip": Real(0.5, 8.0, log=True),
        "negatives": Real(0.0, 4.0),
    },
    # how many sessions and clicks are held is a bound of memory
    STORE: {
        "postings": Whole(40, 400, log=True),
        "depth": Whole(2, 8),
        "neighbours": Whole(100, 1_000, log=True),
        "bridges": Whole(4, 64, log=True),
        "bridge_postings": Whole(10, 100, log=True),
        # 0 is no decay
        "session_half_life": Real(0.0, 365 * _DAY),
    },
    # of the listwise softmax: see `stream_app.ranking.fusion.softmax`
    FUSION: {
        "hidden": Whole(3, 31, log=True),
        "rate": Real(0.005, 0.3, log=True),
        "out_rate": Real(0.002, 0.1, log=True),
        "decay": Real(0.0, 0.01),
        "batch": Whole(1, 16, log=True),
    },
    "session_knn": {"repeat": Real(0.0, 3.0), "weighting": OneOf(("stan", "vsknn"))},
    "sequential_rules": {"second": Real(0.0, 1.0)},
    "two_hop": {"direct": Real(0.0, 4.0), "penalty": Real(0.0, 1.0)},
    "item_vectors": {
        "factors": Whole(16, 96, log=True),
        "negatives": Whole(32, 256, log=True),
        "recent": Whole(1_024, 65_536, log=True),
        "scale": Real(2.0, 20.0, log=True),
        "learning_rate": Real(0.05, 1.0, log=True),
    },
    "repeats": {"prior": Real(1.0, 1_000.0, log=True)},
    "user_knn": {
        "half_life": _HALF_LIFE,
        "user_items": Whole(8, 64, log=True),
        "postings": Whole(16, 256, log=True),
        "neighbours": Whole(10, 300, log=True),
        "depth": Whole(1, 20),
        "similarity": OneOf(("cosine", "jaccard", "pearson")),
    },
    "trending": {
        "window": Real(600.0, _DAY, log=True),
        "buckets": Whole(2, 24, log=True),
        "past": Real(_DAY, 60 * _DAY, log=True),
    },
    "content": {
        "terms": Whole(8, 64, log=True),
        "postings": Whole(8, 128, log=True),
        "strongest": Whole(4, 32, log=True),
        "attribute": Real(0.0, 8.0),
        "depth": Whole(1, 16),
        "fade": Real(0.2, 1.0),
    },
    "search": {
        "half_life": _HALF_LIFE,
        "query_items": Whole(16, 256, log=True),
        "word_items": Whole(16, 512, log=True),
        "prior": Real(0.1, 100.0, log=True),
    },
    "bpr": {
        "factors": Whole(8, 64, log=True),
        "learning_rate": Real(0.01, 0.5, log=True),
        "l2": Real(1e-5, 0.1, log=True),
        "negatives": Whole(1, 8),
        "depth": Whole(1, 10),
    },
}
"""Search space by model, and of the store."""


def space_of(name: str) -> Space:
    """The search space of a model, of `STORE` or of the learned fusion.

    Raises
    ------
    UserError
        If there is no model of that name, or it has no space.

    Examples
    --------
    >>> space_of("popularity")
    {'half_life': Real(low=3600.0, high=15552000.0, log=True)}
    >>> space_of("popularty")
    Traceback (most recent call last):
    stream_app.errors.UserError: --model: there is no model 'popularty'; there are popularity, item_to_item, ...
    """
    if name not in MODELS and name not in FUSED:
        known = ", ".join((*MODELS, *FUSED))
        raise UserError(f"--model: there is no model {name!r}; there are {known}.")
    if name not in SPACES:
        raise UserError(
            f"--model: nothing is declared to be searched for {name!r}, only for {', '.join(SPACES)}; "
            "add its ranges to stream_app/tools/evaluation/search_spaces.py."
        )
    return SPACES[name]


def inside(space: Space, parameters: Mapping[str, Any]) -> bool:
    """Whether the parameters lie in a space.

    Examples
    --------
    >>> inside({"depth": Whole(1, 8)}, {"depth": 9, "seed": 7})
    False
    """
    return all(parameters[name] in dimension for name, dimension in space.items())
