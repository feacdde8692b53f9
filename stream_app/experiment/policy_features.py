"""What a policy knows of each candidate of a list, each from 0 to 1.

What is said of "this visit" by `ignored_impressions` and `list_chosen` is a guess: rewards do not say which visit a
list is of. Taken are the last as many lists that were seen as the visit has clicks and order lines
(`Context.items`). Lists that a search, a like or a hide brought are not counted, so each that was seen puts one of
the visit's first lists out; where fewer lists were seen than that, the last of visits before are taken too; and
while a visit has no click yet, all clicks that are kept of the shopper count. `decayed_ignored_impressions` is of
all lists remembered.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.experiment.feature_rows import features_version_of
from stream_app.experiment.ignored_impressions import IgnoredImpressions
from stream_app.models import user_item_affinity as affinity
from stream_app.models.base import Context, Items
from stream_app.models.kernels.jit import jit
from stream_app.models.model_set import ModelSet
from stream_app.models.popularity import Popularity

FEATURES: Final = (
    # against the best candidate's, on a logarithmic scale: the fused order
    "fused_score",
    # as it is: of lists that a ranker has learned, the chance that the item is chosen next
    "fused_chance",
    # 1 / log2(place + 2): steep at the head, however flat the scores are
    "fused_rank",
    # decayed count against the most popular candidate's
    "popularity",
    # choices over expected choices r of what was shown, as r / (1 + r): 0.5 is nothing special
    "choice_rate",
    *affinity.AFFINITY_FEATURES,
    # in this session already, and how long ago
    "viewed",
    # 1 for an item first seen now, halving every day
    "newness",
    # 1 - 2^-n of n expected looks at it on the lists of this visit (as guessed), without a choice since
    "ignored",
    # the same over all lists remembered, the older ones counting less
    "recently_ignored",
    # 1 for what was chosen from a list of this visit (as guessed)
    "list_chosen",
)
"""Names of the features, in their order."""

FEATURES_VERSION: Final = features_version_of(FEATURES)
"""What logged rows of these features begin with."""

PRIOR_FEATURE: Final = FEATURES.index("fused_rank")
"""What policies start from."""

_PRIOR_WEIGHTS: Final = {"fused_rank": 0.1, "ignored": -0.05, "recently_ignored": -0.05}

PRIOR_MEAN: Final = tuple([_PRIOR_WEIGHTS.get(name, 0.0) for name in FEATURES])
"""The weights that policies over all features start from: the fused order, less what was seen and left before.

What was looked at twice and left lost as much as the whole way from the head of a list to its end in every shop that
was tried (-.03 to -.14 on either feature): a policy need not find that out anew.
"""

POPULARITY_FEATURE: Final = FEATURES.index("popularity")

VIEWED_FEATURE: Final = FEATURES.index("viewed")

_AFFINITY_COLUMN: Final = FEATURES.index(affinity.AFFINITY_FEATURES[0])


@jit()
def _write(
    items: NDArray[np.int32],
    scores: NDArray[np.float64],
    popularity: NDArray[np.float32],
    rates: NDArray[np.float64],
    first_seen: NDArray[np.float64],
    now: float,
    session: NDArray[np.int32],
    ignored_impressions: NDArray[np.float64],
    decayed: NDArray[np.float64],
    chosen: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None:
    max_score = 1e-30
    max_popularity = 1e-30
    for row in range(len(items)):
        max_score = max(max_score, scores[row])
        max_popularity = max(max_popularity, popularity[row])
    for row in range(len(items)):
        score = scores[row] / max_score
        out[row, 0] = max(0.0, 1.0 + np.log2(score) / 10.0) if score > 0 else 0.0
        out[row, 1] = min(max(scores[row], 0.0), 1.0)
        out[row, 2] = 1.0 / np.log2(2.0 + row)
        out[row, 3] = np.sqrt(max(popularity[row], 0.0) / max_popularity)
        out[row, 4] = rates[row] / (1.0 + rates[row])
        out[row, 8] = 0.0
        for steps_back in range(len(session)):
            if session[len(session) - 1 - steps_back] == items[row]:
                out[row, 8] = 1.0 / np.sqrt(1.0 + steps_back)
                break
        age = now - first_seen[items[row]]
        out[row, 9] = 2.0 ** (-max(age, 0.0) / 86_400.0)
        out[row, 10] = 1.0 - 2.0 ** -ignored_impressions[row]
        out[row, 11] = 1.0 - 2.0 ** -decayed[row]
        out[row, 12] = chosen[row]


def list_features(
    context: Context,
    items: Items,
    scores: NDArray[np.float64],
    rates: NDArray[np.float64],
    models: ModelSet,
    popularity: Popularity | None,
    ignored_impressions: IgnoredImpressions,
    examination_probabilities: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Features of the candidates of a list.

    Parameters
    ----------
    context
        Whom the list is for.
    items : ndarray of int32, shape (n,)
        Candidates in the fused order.
    scores : ndarray of float64, shape (n,)
        Their fused scores, above 0.
    rates : ndarray of float64, shape (n,)
        Their choices over expected choices (`stream_app.experiment.item_rates`).
    models
        Know the items.
    popularity
        Knows what is popular; None where it does not run, and the feature is 0.
    ignored_impressions
        Knows what the shopper was shown.
    examination_probabilities : ndarray of float64, shape (places,)
        How likely each place of a list is looked at.

    Returns
    -------
    ndarray of float32, shape (n, len(FEATURES))
    """
    index = models.index
    out = np.empty((len(items), len(FEATURES)), np.float32)
    counts = np.zeros(len(items), np.float32) if popularity is None else popularity.score(context, items)
    start = context.session_start if context.session_start < len(context.items) else 0
    session = context.items[start:]
    # about as many lists as clicks were seen in this visit: see above for what that leaves out
    impression_history = ignored_impressions.lookup(
        context.user, items, len(session), examination_probabilities
    )
    _write(items, scores, counts, rates, index.first_seen, context.now, session, *impression_history, out)
    affinity.write_affinity(
        context, items, models, out[:, _AFFINITY_COLUMN : _AFFINITY_COLUMN + len(affinity.AFFINITY_FEATURES)]
    )
    return out
