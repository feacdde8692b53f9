"""Compiles the numba kernels before the first event comes."""

from stream_app.models import model_set
from stream_app.models.model_set import ModelSet
from stream_app.ranker.ranker import Ranker
from stream_app.ranker.request import RankRequest
from stream_app.settings import Settings
from topics.records import Interaction, Kind, Line, Source


def warm_up(settings: Settings) -> None:
    """Learn and rank once with models of their own, thrown away after.

    The first run on a machine compiles for some seconds and keeps the result beside the source; later ones load
    it.
    """
    model_set.warm_up(settings.models)
    models = ModelSet(settings.models)
    for offset, item in enumerate("ab"):
        models.learn(Interaction(Source.CLICK, 0, offset, offset, "user", Kind.VIEW, (Line(item),)))
    ranker = Ranker(models, per_source=settings.candidates_per_source, length=settings.list_length)
    ranker.rank_user(RankRequest("user", ("a",), (1.0,), 0, (), 1.0, ("b",)))
