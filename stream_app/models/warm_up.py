"""Compilation of the kernels before the first event."""

from collections.abc import Sequence

import numpy as np

from stream_app.models.model_parts import restore_parts
from stream_app.models.model_set import ModelSet
from stream_app.models.two_tower import TwoTower
from stream_app.models.two_tower_network import NetworkShape, TrainedWeights, first_parameters
from topics.events import CatalogItem
from topics.records import Interaction, Kind, Line, Source


def adopt_small_weights(models: ModelSet, item_ids: Sequence[str]) -> None:
    """Give a two-tower model, if one runs, weights for some items, so that its kernels are used."""
    shape = NetworkShape(n_factors=4, hidden=2)
    vectors = np.eye(len(item_ids), shape.n_factors, dtype=np.float32)
    for model in models.models:
        if isinstance(model, TwoTower):
            model.adopt(TrainedWeights(shape, first_parameters(shape, 7), list(item_ids), vectors), "1")


def warm_up(names: Sequence[str]) -> None:
    """Compile every kernel of the named models, so that no event waits for the compiler.

    Takes some 15 seconds if nothing is compiled yet, half a second if the machine code is on disk.

    Parameters
    ----------
    names
        Models that will run.
    """
    models = ModelSet(names, max_items=2, half_life=1.0)
    segments = ("name:value",)
    # three items in an index of two cause an eviction, and a thousand half-lives move the landmark
    events = (("a", 0.0), ("b", 1.0), ("c", 2.0), ("c", 1000.0))
    for offset, (name, ts) in enumerate(events):
        for source, kind in ((Source.CLICK, Kind.VIEW), (Source.PURCHASE, Kind.PURCHASE)):
            models.learn(Interaction(source, 0, offset, ts, "user", kind, (Line(name),), segments, "word"))
    models.learn_catalog(CatalogItem(ts=1_000_000, item_id="c", title="word"))
    adopt_small_weights(models, "bc")
    for user in ("user", ""):
        context = models.context(user, ["c"], [1000.0], 0, segments, 1000.0, "word")
        for model, proposed in models.candidates(context, 2):
            model.score(context, proposed.items)
            model.explain(context, models.index.find("c"), models.index.find("c"))
    # in parts, as at a start: some River objects are not saved
    restore_parts(lambda: ModelSet(names, max_items=2, half_life=1.0), models.state())
