"""The compiled features of the learned fusion, one entry per feature: name, source, formula, shape.

The number of a column is the position of its entry, so that a kernel writes ``target[SessionFeature.LIFT]`` and a new
entry renumbers nothing by hand. All features are float32 from 0 to 1. Shares and counts are on a logarithmic scale,
sums are divided by the largest of all candidates, and ages are counted in sessions: nothing depends on the size of
the shop or on its clock.

To add a feature that follows from the session store, add an entry to `SessionFeature` and a line that writes it to
`stream_app.ranking.kernels.session_features`. To add a feature that numpy computes, see
`stream_app.ranking.fusion.feature_blocks`. The file is in this folder because kernels read it: a change of it
invalidates the compiled code.
"""

from enum import IntEnum
from typing import Final, NamedTuple, Self

PER_LIST: Final = True
"""Shape of a feature with one value per list, the same in every row: such features only steer the hidden units."""


class FeatureSpec(NamedTuple):
    """A column of the feature matrix."""

    name: str  # unique in the table
    source: str  # arrays, models or session columns that it is computed from
    formula: str  # from the source to the value
    per_list: bool = False  # whether its shape is (), one value per list, rather than (n,), one per candidate


class Feature(IntEnum):
    """Base of the tables that kernels read: the value of a member is its column, in the order of the entries."""

    source: str
    formula: str
    per_list: bool

    def __new__(cls, source: str, formula: str, per_list: bool = False) -> Self:
        """Number the entry."""
        column = len(cls.__members__)
        member = int.__new__(cls, column)
        member._value_ = column
        member.source, member.formula, member.per_list = source, formula, per_list
        return member

    @property
    def spec(self) -> FeatureSpec:
        """The entry as a row of the table."""
        return FeatureSpec(self.name.lower(), self.source, self.formula, self.per_list)


class SessionFeature(Feature):
    """Features from the session store.

    Names in capitals are columns of `stream_app.models.session_store.SessionColumn`, of the candidate. ``max`` and
    ``sum`` run over the candidates, ``support(k)`` is 1 + the sessions that hold the k-th newest context item,
    ``clicks`` are those of the candidate outside the user's own session.
    """

    CO_OCCURRENCE_1 = "CO_OCCURRENCE", "log_share(CO_OCCURRENCE / support(1))"
    CO_OCCURRENCE_2 = "CO_OCCURRENCE_2", "log_share(CO_OCCURRENCE_2 / support(2))"
    CO_OCCURRENCE_3 = "CO_OCCURRENCE_3", "log_share(CO_OCCURRENCE_3 / support(3))"
    CO_OCCURRENCE_4 = "CO_OCCURRENCE_4", "log_share(CO_OCCURRENCE_4 / support(4))"
    COSINE_1 = "CO_OCCURRENCE", "log_share(CO_OCCURRENCE / sqrt(support(1) * (postings + 1)))"
    COSINE_2 = "CO_OCCURRENCE_2", "log_share(CO_OCCURRENCE_2 / sqrt(support(2) * (postings + 1)))"
    COSINE_3 = "CO_OCCURRENCE_3", "log_share(CO_OCCURRENCE_3 / sqrt(support(3) * (postings + 1)))"
    COSINE_4 = "CO_OCCURRENCE_4", "log_share(CO_OCCURRENCE_4 / sqrt(support(4) * (postings + 1)))"
    AFTER = "AFTER", "log_share(AFTER / support(1))"
    NEXT = "NEXT", "log_share(NEXT / support(1))"
    BEFORE = "BEFORE", "log_share(BEFORE / support(1))"
    AFTER_2 = "AFTER_2", "log_share(AFTER_2 / support(2))"
    CO_OCCURRENCE_OLDER = "CO_OCCURRENCE_OLDER", "log_share(CO_OCCURRENCE_OLDER / sum)"
    CO_OCCURRENCE_BY_RANK = "CO_OCCURRENCE_BY_RANK", "log_share(CO_OCCURRENCE_BY_RANK / 40)"
    NEWEST_SESSION = "NEWEST", "NEWEST"
    KNN_OF_MAX = "KNN", "sqrt(KNN / max)"
    STAN_OF_MAX = "STAN", "sqrt(STAN / max)"
    MULTI_MATCH_OF_MAX = "MULTI_MATCH", "sqrt(MULTI_MATCH / max)"
    COVISIT_OF_MAX = "COVISIT_SHARE", "sqrt(COVISIT_SHARE / max)"
    SECOND_HOP_OF_MAX = "SECOND_HOP", "sqrt(SECOND_HOP / max)"
    CO_OCCURRENCE_OF_MAX = "CO_OCCURRENCE", "sqrt(CO_OCCURRENCE / max)"
    AFTER_OF_MAX = "AFTER", "sqrt(AFTER / max)"
    KNN_SHARE = "KNN", "log_share(KNN / sum)"
    STAN_SHARE = "STAN", "log_share(STAN / sum)"
    COVISIT_SHARE = "COVISIT_SHARE", "log_share(COVISIT_SHARE)"
    SECOND_HOP_SHARE = "SECOND_HOP", "log_share(SECOND_HOP / sum)"
    MULTI_MATCHES = "MULTI_MATCH", "log_count(MULTI_MATCH, 8)"
    SECOND_HOP_COSINE_OF_MAX = "SECOND_HOP, clicks", "sqrt(c / max) with c = SECOND_HOP / sqrt(clicks + 5)"
    STAN_RANK = "STAN", "log_count(candidates with a larger STAN, 9)"
    KNN_RANK = "KNN", "log_count(candidates with a larger KNN, 9)"
    SECOND_HOP_RANK = "SECOND_HOP", "log_count(candidates with a larger SECOND_HOP, 9)"
    COVISIT_RANK = "COVISIT_SHARE", "log_count(candidates with a larger COVISIT_SHARE, 9)"
    SUPPORT = "SUPPORT", "log_count(SUPPORT, 9)"
    LIFT = "CO_OCCURRENCE, clicks", "(log2(CO_OCCURRENCE / support(1) * all clicks / clicks) + 4) / 20"
    CLICKS = "clicks", "log_count(clicks, 16)"
    RATE_OF_5 = "postings", "(log2(5 / sessions since the fifth newest click) + 18) / 18"
    RATE_OF_30 = "postings", "(log2(30 / sessions since the thirtieth newest click) + 18) / 18"
    SESSIONS_SINCE = "postings", "log_count(sessions since the newest click, 18)"
    SESSIONS_SINCE_FIRST = "first_session", "log_count(sessions since the first click, 18)"
    OCCURRENCES = "context", "min(clicks on it in the context, 4) / 4"
    CLICKS_SINCE = "context", "1 / sqrt(1 + clicks after the last on it); 0 outside the context"
    BEFORE_2 = "BEFORE_2", "log_share(BEFORE_2 / support(2))"
    CONTEXT_CLICKS = "context", "log_count(clicks of the context, 5)", PER_LIST
    CONTEXT_ITEMS = "context", "log_count(distinct items of the context - 1, 3)", PER_LIST
    NEWEST_SUPPORT = "supports", "log_count(support(1), 8)", PER_LIST
    SESSIONS_FOUND = "query", "log_count(sessions that share an item with the context, 10)", PER_LIST
    LARGEST_SHARE = "CO_OCCURRENCE", "log_share(max / support(1))", PER_LIST
    LAST_REPEATED = "context", "1 if the two newest clicks are on one item, else 0", PER_LIST
    SECOND_HOP_NEWEST_SHARE = "SECOND_HOP_NEWEST", "log_share(SECOND_HOP_NEWEST / sum)"
    NEAREST_CLICKS_SHARE = "NEAREST_CLICKS", "log_share(NEAREST_CLICKS / sum)"
    NEWEST_CLICKS = "clicks", "log_count(clicks of the newest context item, 16)", PER_LIST
    COVISIT_RECENT_ROOT_OF_MAX = "COVISIT_SHARE_RECENT_ROOT", "sqrt(COVISIT_SHARE_RECENT_ROOT / max)"
    COVISIT_RECENT_OF_MAX = "COVISIT_SHARE_RECENT", "sqrt(COVISIT_SHARE_RECENT / max)"
    COVISIT_RECENT_SHARE = "COVISIT_SHARE_RECENT", "log_share(COVISIT_SHARE_RECENT / sum)"
    AFTER_IN_ORDER = "AFTER_IN_ORDER", "log_count(AFTER_IN_ORDER, 6)"
    REPEAT_RATE = (
        "postings",
        "share of its last 60 clicks followed by another in the same session, if in the context",
    )
    CONTEXT_REPEATS = "context", "share of clicks on an item of the 12 clicks before", PER_LIST


class VectorFeature(Feature):
    """Features from the item vectors, where these are learned: half of 1 + cosine, 0 for an unknown item."""

    WITH_SESSION = "session vector", "cosine with the session"
    WITH_NEWEST = "item vectors", "cosine with the newest context item"
    WITH_SECOND = "item vectors", "cosine with the second newest context item"
    WITH_NEAREST = "item vectors", "largest cosine with another context item"
    OF_MAX = "session vector", "1 - 2 * (max - WITH_SESSION), not below 0"
    RANK = "session vector", "log_count(candidates with a larger WITH_SESSION, 9)"


class TrendFeature(Feature):
    """Features from the trends over all users, where they are counted.

    ``excess`` is that of the count in the window over the expected one, in standard deviations, not below 0; 0 for
    items of the context, whose counts are in part of the user. A worker counts a click before it ranks the list that
    follows, an evaluation with fixed models does not: the ranker would learn from what it does not find there.
    """

    EXCESS = "window and long-term counts", "log_count(excess, 6)"
    OF_MAX = "window and long-term counts", "sqrt(excess / largest excess)"


class TwoTowerFeature(Feature):
    """Features from the two-tower model, where it runs; 0 for an item without a vector or a head without data."""

    COSINE = "user and item vectors", "0.5 + cosine / 2"
    PROBABILITY = "user and item vectors", "sqrt(probability among all items)"
    LOG_PROBABILITY = "user and item vectors", "1 + log(probability among all items) / 16, not below 0"
    WITH_NEWEST = "item vectors", "0.5 + cosine with the newest context item / 2"
    OF_MAX = "user and item vectors", "1 - (largest logit - logit) / 12, not below 0"
    RANK = "user and item vectors", "1 - log(1 + candidates with a larger cosine) / 6, not below 0"
    CONFIDENCE = "user and item vectors", "largest probability of a candidate", PER_LIST
    CART = "user and item vectors, head of carts", "sqrt(probability among the candidates)"
    PURCHASE = "user and item vectors, head of purchases", "sqrt(probability among the candidates)"


class ProposalFeature(Feature):
    """Features from the candidates of each further model, two columns a model."""

    OF_MAX = "scores", "sqrt(score / largest score)"
    RANK = "ranks", "1 - log_count(rank, 8); 0 where the model does not propose the item"


class ResultFeature(Feature):
    """Features of a list of search results, float32 from 0 to 1, -1 for missing; those of the context come last.

    ``log_scale(x, top)`` is log(1 + x) / log(1 + top), not above 1; ``signed(x, end)`` maps -end to 0, 0 to 0.5 and
    end to 1; a difference of ranks is signed with an end of 24.
    """

    RANK = "list", "rank / 24, not above 1"
    INTERACTIONS = "session", "log_scale(interactions in the session, 60)"
    STEPS_SINCE = "session", "log_scale(steps since the last interaction, 60)"
    SECONDS_SINCE = "session", "log_scale(seconds since the last interaction, 7200)"
    RECENCY_RANK = "session", "results with a later interaction / 8, not above 1"
    PURCHASES = "session", "purchases in the session / 4, not above 1"
    VIEWS = "session", "log_scale(views in the session, 60)"
    LAST_ACTION = "session", "action of the last interaction / 5"
    STEPS_SINCE_BOUGHT = "session", "log_scale(steps since the last purchase, 60)"
    STEPS_SINCE_DETAIL = "session", "log_scale(steps since the last interaction closer than a view, 60)"
    DWELL = "session", "log_scale(seconds from the first to the last interaction, 3600)"
    FROM_LAST = "list, session", "difference of ranks to the last item interacted with"
    FROM_BOUGHT = "list, session", "difference of ranks to the last item bought"
    FROM_LOWEST = "list, session", "difference of ranks to the lowest item interacted with"
    SCROLL_OFFSET = (
        "list, session",
        "difference of ranks to the last item, in the direction of the user's scrolling",
    )
    NEIGHBOR_STEPS = "list, session", "log_scale(steps since an interaction with a neighbor on the list, 60)"
    PREVIOUS_RANK = "earlier lists", "rank on the previous list / 24, not above 1"
    IGNORED = "earlier lists", "lists that had the item and on which another was chosen / 4"
    FROM_PREVIOUS_CHOICE = "earlier lists", "difference of ranks to the choice from the previous list"
    PRICE_RANK = "prices", "cheaper results / other priced results"
    PRICE_TO_INTERACTED = "prices, session", "signed(log price - mean log price of the session, 1.5)"
    PRICE_TO_LAST = "prices, session", "signed(log(price / price of the last item), 1.5)"
    PRICE_TO_ABOVE = "prices", "signed(log(price / lowest price above), 1)"
    CHEAPEST_ABOVE = "prices", "1 if cheaper than all results above, else 0"
    CHEAPER_ABOVE = "prices", "log_scale(cheaper results above, 24)"
    PRICE_TO_USUAL = "prices, items", "signed(log price - usual log price - mean difference of the list, 0.4)"
    PRICE_PREFERENCE = "prices, choices", "signed(PRICE_RANK - mean PRICE_RANK of the user's choices, 1)"
    RANK_PREFERENCE = "list, choices", "signed(rank - mean rank of the user's choices, 24)"
    PAST_INTERACTIONS = "history", "log_scale(interactions in earlier sessions, 20)"
    PAST_PURCHASES = "history", "purchases in earlier sessions / 4, not above 1"
    INTERACTION_RATE = "items", "signed(log((other users + 1) / (impressions / 10 + 1)), 2)"
    CHOICE_RATE = "items", "signed(log choice rate over the expected - mean of the list, 2)"
    CONTEXT_SITUATION = "session", "code of what the user did just before / 6", PER_LIST
    CONTEXT_SECONDS = "session", "log_scale(seconds since the last event, 3600)", PER_LIST
    CONTEXT_SAME_PAGE = "earlier lists", "share of results at their rank of the previous list", PER_LIST
    CONTEXT_REPEATS = "choices", "(choices of the last item + 0.4) / (opportunities + 1)", PER_LIST
    CONTEXT_DIRECTION = "list, session", "difference of the ranks of the last two items", PER_LIST
    CONTEXT_LAST_ACTION = "session", "(last action + 1) / 7", PER_LIST
    CONTEXT_LENGTH = "list", "results / 25, not above 1", PER_LIST
    CONTEXT_LAST_RANK = "list, session", "rank of the last item / 24, not above 1", PER_LIST
    CONTEXT_PURCHASES = "session", "purchases in the session / 4, not above 1", PER_LIST
    CONTEXT_INTERACTED = "list, session", "log_scale(results interacted with, 10)", PER_LIST
