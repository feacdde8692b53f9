"""Features of the candidates of a list, for policies; `PolicyFeature` has their names and formulas.

The features `ignored` and `list_chosen` refer to the lists of the current session, which is a guess: rewards do not
have a session. The guess is the last n displayed lists, where n is the number of clicks and order lines of the
session (`Context.items`). Lists after a search, a like or a hide are not counted in n, so each displayed one of them
replaces one of the first lists of the session. If fewer lists were displayed in the session, lists of earlier
sessions are included. Before the first click of a session, n is the number of all items in the context.
`recently_ignored` covers all lists held.
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
"""Version of these features in logged rows."""

PRIOR_FEATURE: Final = PolicyFeature.FUSED_RANK.value
"""Index of the feature that the prior of policies is based on."""

_PRIOR_WEIGHTS: Final = {
    PolicyFeature.FUSED_RANK: 0.1,
    PolicyFeature.IGNORED: -0.05,
    PolicyFeature.RECENTLY_IGNORED: -0.05,
}

PRIOR_MEAN: Final = tuple([_PRIOR_WEIGHTS.get(feature, 0.0) for feature in PolicyFeature])
"""Prior weights of policies over all features: the fused order, less ignored impressions.

In every shop that was tested, two ignored impressions cost as much as the way from the head of a list to its end
(weights from -.03 to -.14 on either feature): a policy need not learn that again.
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
        The user and the session.
    items : ndarray of int32, shape (n,)
        Candidates in the fused order.
    scores : ndarray of float64, shape (n,)
        Fused scores, above 0.
    rates : ndarray of float64, shape (n,)
        Choices over expected choices (`stream_app.experiment.item_rates`).
    models
        The models, for the index of the items.
    popularity
        The popularity model; None if it does not run, where the feature is 0.
    ignored_impressions
        Impressions of the user.
    examination_probabilities : ndarray of float64, shape (positions,)
        Examination probability of each position.

    Returns
    -------
    ndarray of float32, shape (n, len(FEATURES))
    """
    index = models.index
    out = np.empty((len(items), len(FEATURES)), np.float32)
    counts = np.zeros(len(items), np.float32) if popularity is None else popularity.score(context, items)
    start = context.session_index
    session = context.items[start:]
    # the number of items stands for the number of lists of this session: see the module's docstring
    impression_history = ignored_impressions.lookup(
        context.user, items, len(session), examination_probabilities
    )
    ages = context.now - index.first_seen[items]
    write_features(items, scores, counts, rates, ages, session, impression_history, out)
    affinity.write_affinity(context, items, models, out[:, _AFFINITY_COLUMNS])
    return out
