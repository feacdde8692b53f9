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
from stream_app.experiment.kernels.policy_features import PolicyFeature, write_features
from stream_app.models import user_item_affinity as affinity
from stream_app.models.base import Context, Items
from stream_app.models.model_set import ModelSet
from stream_app.models.popularity import Popularity

FEATURES: Final = tuple(feature.name.lower() for feature in PolicyFeature)
"""Names of the features, in their order."""

FEATURES_VERSION: Final = features_version_of(FEATURES)
"""What logged rows of these features begin with."""

PRIOR_FEATURE: Final = PolicyFeature.FUSED_RANK.value
"""What policies start from."""

_PRIOR_WEIGHTS: Final = {
    PolicyFeature.FUSED_RANK: 0.1,
    PolicyFeature.IGNORED: -0.05,
    PolicyFeature.RECENTLY_IGNORED: -0.05,
}

PRIOR_MEAN: Final = tuple([_PRIOR_WEIGHTS.get(feature, 0.0) for feature in PolicyFeature])
"""The weights that policies over all features start from: the fused order, less what was seen and left before.

What was looked at twice and left lost as much as the whole way from the head of a list to its end in every shop that
was tried (-.03 to -.14 on either feature): a policy need not find that out anew.
"""

POPULARITY_FEATURE: Final = PolicyFeature.POPULARITY.value

VIEWED_FEATURE: Final = PolicyFeature.VIEWED.value

_AFFINITY_COLUMNS: Final = slice(PolicyFeature.CATEGORY_AFFINITY, PolicyFeature.PRICE_DISTANCE + 1)


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
    ages = context.now - index.first_seen[items]
    write_features(items, scores, counts, rates, ages, session, impression_history, out)
    affinity.write_affinity(context, items, models, out[:, _AFFINITY_COLUMNS])
    return out
