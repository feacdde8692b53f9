"""Compiles the numba kernels before the first event arrives."""

from stream_app.bandit import policy_registry as registry
from stream_app.experiment.live_policies import LivePolicies
from stream_app.models import warm_up as models_warm_up
from stream_app.ranking.assembly import make_models, make_ranker
from stream_app.ranking.exposure import Exposure
from stream_app.ranking.fusion.choice_fusion import MIN_CHOICES
from stream_app.ranking.intra_list_diversity import IntraListDiversity
from stream_app.ranking.request import RankRequest
from stream_app.settings import Settings
from topics.events import CatalogItem
from topics.records import Interaction, Kind, Line, Source


def warm_up(settings: Settings) -> None:
    """Learn and rank once with temporary models.

    The first run on a machine compiles for some seconds and caches the result; later runs load it.
    """
    models_warm_up.warm_up(settings.model_names)
    models = make_models(settings.ranking_config)
    for item in "ab":
        models.learn_catalog(CatalogItem(item_id=item, ts=0, price=1.0, categories=["c"], brand="d"))
    models_warm_up.adopt_small_weights(models, "ab")
    clicks = [(user, item) for user in "abc" for item in "ab"] * (MIN_CHOICES // 2)
    for offset, (user, item) in enumerate(clicks):
        models.learn(Interaction(Source.CLICK, 0, offset, offset, user, Kind.VIEW, (Line(item),)))
    now = float(len(clicks))
    line, displayed = (Line("a"),), ("a", "b")
    models.learn(Interaction(Source.PURCHASE, 0, 0, now, "a", Kind.PURCHASE, line, shown=displayed))
    models.learn(Interaction(Source.SEARCH, 0, 0, now, "a", Kind.SEARCH, query="query", shown=displayed))
    models.learn(Interaction(Source.PURCHASE, 0, 1, now, "a", Kind.PURCHASE, line))
    ranker = make_ranker(models, settings.ranking_config)
    request = RankRequest("a", ("a",), (now,), 0, (), now, ("b",))
    ranker.rank_user(request)
    ranker.rank_user_degraded(request)
    live = models.learner(LivePolicies)
    if live is not None and not live.disabled:
        registry.warm_up()
    ranker.rank_search(request, "query", ("a", "b"))
    Exposure(models).add(("a",), now)
    IntraListDiversity(models).add(("a", "b"), now)
    ranker.rank_item("a")
