"""The learned fusion: candidates of all sources, their features, a ranker that learns from what was chosen."""

from collections.abc import Sequence
from inspect import signature
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models import user_item_affinity as suits
from stream_app.models.base import Context, Items, Model, Scores
from stream_app.models.item_to_item import ItemToItem
from stream_app.models.item_vectors import ItemVectors
from stream_app.models.kernels import sessions as session_kernels
from stream_app.models.model_set import ModelSet
from stream_app.models.session_store import Column, SessionStore
from stream_app.models.session_store_model import StoreModel
from stream_app.models.user_item_affinity import write_suits
from stream_app.ranking.fusion import features
from stream_app.ranking.fusion.choice_fusion import ChoiceFusion, Proposal, Shortlist, loudest
from stream_app.ranking.fusion.features import SESSION_FEATURES, VECTOR_FEATURES, feature_names
from stream_app.ranking.fusion.softmax import SoftmaxRanker
from topics.records import Reason

MAX_CANDIDATES: Final = 512

TUNABLE: Final = ("hidden", "rate", "out_rate", "decay", "batch")
"""Names of the hyper-parameters."""

QUOTAS: Final = np.array(
    [
        (Column.SHARED, 40, 0),
        (Column.STAN, 40, 0),
        (Column.KNN, 25, 0),
        (Column.AFTER, 20, 0),
        (Column.HOP, 50, 0),
        (Column.HOP, 20, 1),
    ],
    np.int32,
)
"""How many of each column of the store are ranked, and whether it is divided by the root of the item's clicks."""


VECTOR_QUOTA: Final = 30
"""How many of those nearest to the session by item vectors are ranked."""


ADMITTED: Final = 20
"""How many of each source that is not on the session store are ranked; the others of its candidates are only told
apart by it where another source brings them."""


NOTHING: Final[Scores] = np.zeros(0, np.float32)


_VOICES: Final = {
    -1: "similar_sessions",
    -2: "viewed_before",
    -3: "viewed_next",
    -4: "also_viewed",
    -5: "related",
}
"""Reasons by the numbers of `session_kernels.attribute`."""


class LearnedFusion(ChoiceFusion):
    """Fusion at the level of features: what all sources say of a candidate is learned from at once.

    What the session store adds up goes in column by column, further sources by score and rank, the catalogue by
    affinities and prices; see `stream_app.ranking.fusion.features`.

    Parameters
    ----------
    models
        The sources; one of them must be on the session store.
    per_source
        Candidates asked of each source that is not on the session store.
    seed
        Of the ranker's initial weights.
    hidden, rate, out_rate, decay, batch
        Of the ranker, see `stream_app.ranking.fusion.softmax.SoftmaxRanker`.

    Raises
    ------
    ValueError
        If no model is on the session store.
    """

    policy: ClassVar[str] = "learned"

    def __init__(
        self,
        models: ModelSet,
        *,
        per_source: int = 100,
        seed: int = 7,
        hidden: int = 15,
        rate: float = 0.05,
        out_rate: float = 0.015,
        decay: float = 0.0,
        batch: int = 4,
    ) -> None:
        stored = [model for model in models.models if isinstance(model, StoreModel)]
        if not stored:
            raise ValueError("the learned fusion needs one of the models on the session store")
        self._vectors = next((model for model in stored if isinstance(model, ItemVectors)), None)
        sources = [model.name for model in models.models if self.asks(model)]
        names = feature_names(sources, vectors=self._vectors is not None)
        ranker = SoftmaxRanker(
            len(names), seed=seed, hidden=hidden, rate=rate, out_rate=out_rate, decay=decay, batch=batch
        )
        super().__init__(models, ranker, names, per_source)
        self._voice = stored[0]
        self._store: SessionStore = stored[0].store
        room = len(self._store.scratch.found)
        self._matrix = np.zeros((MAX_CANDIDATES, len(names)), np.float32)
        self._chosen: Items = np.zeros(MAX_CANDIDATES, np.int32)
        self._marks = np.zeros(room, np.uint8)
        self._rows: Items = np.full(room, -1, np.int32)
        self._ranks = np.zeros((4, MAX_CANDIDATES), np.float32)

    @classmethod
    def hyper_parameters(cls) -> dict[str, Any]:
        """What can be tuned, with what is shipped."""
        given = signature(cls).parameters.values()
        return {each.name: each.default for each in given if each.name in TUNABLE}

    def asks(self, model: Model) -> bool:
        """Whether a model's candidates are needed.

        Those on the session store are read from it directly, and item-to-item's co-visits are in it too, in more
        detail.
        """
        return not isinstance(model, StoreModel | ItemToItem)

    def falls_back_on(self, model: Model) -> bool:
        """Of the models on the session store the first speaks for all: their ranks are much alike."""
        return model is self._voice or not isinstance(model, StoreModel)

    def shortlist(
        self, context: Context, proposals: Sequence[Proposal], allowed: NDArray[np.bool_]
    ) -> Shortlist:
        """Put the best of all sources together, with their features."""
        store = self._store
        around = self._around = store.look_around(context)
        # sources of their own may have replaced the arrays, but not the store's while it looks around
        scratch, held = store.scratch, store.held
        start = context.session_start if context.session_start < len(context.items) else 0
        clicks = context.items[start:]
        cosines: Scores = NOTHING
        if self._vectors is not None:
            cosines = self._vectors.cosines(clicks, store.found(around))
        # what was looked at before may be looked at again, from earlier visits too
        wanted = context.items
        brought = [found.items[:ADMITTED] for _, found in proposals if len(found.items)]
        if brought:
            wanted = np.concatenate((wanted, *brought))
        looked_around = around.n
        store.admit(around, wanted)
        n = session_kernels.shortlist(
            held.clicks,
            scratch.slots,
            scratch.found,
            scratch.sums,
            scratch.order,
            scratch.spare,
            around.n,
            QUOTAS,
            cosines,
            VECTOR_QUOTA,
            wanted,
            allowed,
            self._marks,
            self._chosen,
        )
        chosen, matrix = self._chosen[:n], self._matrix[:n]
        features.session_features(
            held,
            scratch,
            chosen,
            context.items,
            around.distinct,
            around.touched,
            around.own,
            store.newest,
            store.clicks_seen,
            self._ranks,
            matrix,
        )
        items = scratch.found[chosen]
        column = len(SESSION_FEATURES)
        write_suits(context, items, self._models, matrix[:, column : column + len(suits.COLUMNS)])
        column += len(suits.COLUMNS)
        if self._vectors is not None:
            if around.n > looked_around:
                # what other sources brought was not found around the context
                further = self._vectors.cosines(clicks, store.found(around)[looked_around:])
                cosines = np.concatenate((cosines, further))
            beside = self._vectors.cosines_beside(scratch.context[: around.distinct], items)
            features.vector_features(cosines, chosen, beside, column, matrix)
            column += len(VECTOR_FEATURES)
        matrix[:, column:] = 0.0
        for _, found in proposals:
            if len(found.items):
                features.source_features(
                    scratch.slots, self._rows, chosen, found.items, found.scores, column, matrix
                )
            column += 2
        return Shortlist(items, matrix)

    def attribute(self, listed: Items, proposals: Sequence[Proposal]) -> tuple[NDArray[np.int64], Items]:
        """Sessions speak for an item where there are any; else the source that ranks it highest."""
        scratch, around = self._store.scratch, self._around
        sources, evidence = np.empty(len(listed), np.int64), np.empty(len(listed), np.int32)
        places = np.empty(len(listed), np.int64)
        n = session_kernels.attribute(
            scratch.slots,
            scratch.sums,
            scratch.context,
            scratch.supports,
            around.distinct,
            listed,
            sources,
            evidence,
            places,
        )
        if n:
            places = places[:n]
            sources[places], evidence[places] = loudest(listed[places], proposals)
        return sources, evidence

    def explain(self, source: int, evidence: int) -> Reason:
        """Say what the sessions that hold it, or its neighbours, have to do with the context."""
        if evidence < 0:
            return Reason("related")
        return Reason(_VOICES[source], item_id=self._index.id_of(evidence))

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        scratch = (self._matrix, self._chosen, self._marks, self._rows, self._ranks)
        return super().memory() + sum(array.nbytes for array in scratch)
