"""Lists for users, items and segments, over the default models."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pytest

from stream_app.models.model_set import ModelSet
from stream_app.models.registry import MODELS
from stream_app.ranking.ranker import DEGRADED_POLICY, RankedList, Ranker
from stream_app.ranking.request import RankRequest
from topics.events import CatalogItem
from topics.records import Interaction, Kind, Line, ListedItem, Source

ITEMS = tuple(f"i{number}" for number in range(35))
COUNTRIES = ("country:FR", "country:DE")


class UserAction(NamedTuple):
    """A view or a purchase."""

    user: str
    item: str
    ts: float
    kind: Kind
    segment: str


def make_actions(count: int = 600, users: int = 30) -> list[UserAction]:
    rng = np.random.default_rng(5)
    actions = []
    for number in range(count):
        user = int(rng.integers(users))
        # users view neighbors of their previous item, so that there is a rule to learn
        item = ITEMS[(user + int(rng.integers(6))) % len(ITEMS)]
        kind = Kind.PURCHASE if rng.random() < 0.2 else Kind.VIEW
        actions.append(UserAction(f"u{user}", item, 1000.0 + 20.0 * number, kind, COUNTRIES[user % 2]))
    return actions


def build_models(
    events: Iterable[UserAction], names: Sequence[str] = tuple(MODELS), initial_items: Sequence[str] = ()
) -> ModelSet:
    models = ModelSet(names, max_items=1000, max_users=1000)
    for item in initial_items:
        models.learn_catalog(CatalogItem(item_id=item, ts=0))
    for offset, action in enumerate(events):
        source = Source.PURCHASE if action.kind is Kind.PURCHASE else Source.CLICK
        models.learn(
            Interaction(
                source,
                0,
                offset,
                action.ts,
                action.user,
                action.kind,
                (Line(action.item),),
                (action.segment,),
            )
        )
    return models


ACTIONS = make_actions()


@pytest.fixture(scope="module")
def models() -> ModelSet:
    return build_models(ACTIONS)


def ranker(models: ModelSet, length: int = 20) -> Ranker:
    return Ranker(models, per_source=50, length=length)


def request(user: str, events: Iterable[UserAction] = ACTIONS, excluded: Iterable[str] = ()) -> RankRequest:
    user_actions = [action for action in events if action.user == user]
    return RankRequest(
        user_id=user,
        items=tuple(action.item for action in user_actions[-20:]),
        times=tuple(action.ts for action in user_actions[-20:]),
        session_start=max(0, len(user_actions[-20:]) - 3),
        segments=(user_actions[-1].segment,) if user_actions else (),
        now=user_actions[-1].ts if user_actions else 0.0,
        excluded=tuple(excluded),
    )


USERS = sorted({action.user for action in ACTIONS})


def ids(ranked: RankedList) -> list[str]:
    return [item.id for item in ranked.items]


@pytest.mark.parametrize("user", USERS[:8])
def test_list_has_requested_length_descending_scores_and_no_duplicates(models: ModelSet, user: str) -> None:
    for length in (1, 7, 20):
        ranked = ranker(models, length).rank_user(request(user))
        assert len(ranked.items) == length
        assert len(set(ids(ranked))) == length
        scores = [item.score for item in ranked.items]
        assert scores == sorted(scores, reverse=True)
        assert all(item.propensity == 1.0 for item in ranked.items)
        assert ranked.model_version == len(ACTIONS)


def test_shorter_list_is_a_prefix_of_a_longer_one(models: ModelSet) -> None:
    full_list = ranker(models, 20).rank_user(request("u1"))
    assert ranker(models, 5).rank_user(request("u1")).items == full_list.items[:5]


@pytest.mark.parametrize("user", USERS[:8])
def test_excluded_items_are_never_listed(models: ModelSet, user: str) -> None:
    before = ids(ranker(models).rank_user(request(user)))
    excluded = {*before[:10], "never seen"}
    after = ids(ranker(models).rank_user(request(user, excluded=excluded)))
    assert excluded.isdisjoint(after)
    assert after
    # items excluded for one user are listed for others
    assert ids(ranker(models).rank_user(request(user))) == before


def test_everything_excluded_leaves_an_empty_list(models: ModelSet) -> None:
    assert ranker(models).rank_user(request("u1", excluded=ITEMS)).items == ()


def test_unavailable_items_are_on_no_list() -> None:
    models = build_models(ACTIONS)
    best = ids(ranker(models).rank_user(request("u1")))[:5]
    for item in best:
        models.learn_catalog(CatalogItem(item_id=item, ts=10**12, available=False))
    for ranked in (
        ranker(models).rank_user(request("u1")),
        ranker(models).rank_item(ITEMS[3]),
        ranker(models).rank_segment("all"),
        ranker(models).rank_segment("country:FR"),
    ):
        assert ranked.items
        assert set(best).isdisjoint(ids(ranked))
    models.learn_catalog(CatalogItem(item_id=best[0], ts=2 * 10**12, available=True))
    assert best[0] in ids(ranker(models).rank_user(request("u1")))


def evidence(items: Iterable[ListedItem]) -> tuple[set[str], set[str]]:
    listed_items = tuple(items)
    found = {item.why.item_id for item in listed_items if item.why.item_id is not None}
    segments = {item.why.segment for item in listed_items if item.why.segment is not None}
    return found, segments


@pytest.mark.parametrize("user", USERS)
def test_reasons_name_context_items_or_user_segments(models: ModelSet, user: str) -> None:
    rank_request = request(user)
    ranked = ranker(models).rank_user(rank_request)
    items, segments = evidence(ranked.items)
    assert items <= set(rank_request.items)
    assert segments <= {"all", *rank_request.segments}
    assert all(item.why.source for item in ranked.items)


def test_reasons_of_an_item_list_name_that_item(models: ModelSet) -> None:
    items, segments = evidence(ranker(models).rank_item("i7").items)
    assert items == {"i7"}
    assert segments == set()


def test_the_same_state_gives_the_same_list(models: ModelSet) -> None:
    first = [ranker(models).rank_user(request(user)) for user in USERS]
    assert [ranker(models).rank_user(request(user)) for user in USERS] == first
    restored = ModelSet(tuple(MODELS), max_items=1000, max_users=1000)
    restored.restore(models.state())
    assert [ranker(restored).rank_user(request(user)) for user in USERS] == first


def test_ranking_changes_nothing(models: ModelSet) -> None:
    before = models.digest()
    for user in (*USERS, "never seen"):
        ranker(models).rank_user(request(user))
    ranker(models).rank_item("i1")
    ranker(models).rank_segment("country:FR")
    assert models.digest() == before
    assert models.version == len(ACTIONS)


def test_item_registration_order_does_not_change_lists(models: ModelSet) -> None:
    there = build_models(ACTIONS, initial_items=sorted(ITEMS))
    back = build_models(ACTIONS, initial_items=sorted(ITEMS, reverse=True))
    for user in USERS:
        lists = [ids(ranker(each).rank_user(request(user))) for each in (models, there, back)]
        assert lists[0] == lists[1] == lists[2]
    for item in ITEMS:
        assert ranker(there).rank_item(item) == ranker(back).rank_item(item)
    assert ranker(there).rank_segment("all") == ranker(back).rank_segment("all")


def test_additive_models_are_independent_of_user_order() -> None:
    additive = [name for name, model in MODELS.items() if model.additive]
    user_actions = build_models(ACTIONS, additive)
    by_user = sorted(ACTIONS, key=lambda action: (action.user, action.ts))
    other = build_models(by_user, additive)
    for user in USERS:
        assert ids(ranker(user_actions).rank_user(request(user))) == ids(
            ranker(other).rank_user(request(user))
        )
    for item in ITEMS:
        assert ids(ranker(user_actions).rank_item(item)) == ids(ranker(other).rank_item(item))


def test_user_without_history_gets_popular_items(models: ModelSet) -> None:
    ranked = ranker(models).rank_user(request("never seen"))
    assert len(ranked.items) == 20
    assert {item.why.source for item in ranked.items} <= {"popular", "trending"}
    popular = ids(ranker(models).rank_segment("all"))
    assert len(set(ids(ranked)[:10]) & set(popular)) >= 8


def test_user_with_only_unknown_items_gets_popular_items(models: ModelSet) -> None:
    rank_request = request("never seen")._replace(items=("no such", "nor this"), times=(1.0, 2.0), now=2.0)
    ranked = ranker(models).rank_user(rank_request)
    assert {item.why.source for item in ranked.items} <= {"popular", "trending"}


def test_untrained_models_give_an_empty_list() -> None:
    empty = ranker(ModelSet(tuple(MODELS), max_items=10, max_users=10))
    assert empty.rank_user(request("ann", ())).items == ()
    assert empty.rank_item("i1").items == ()
    assert empty.rank_segment("all").items == ()


@pytest.mark.parametrize("item", ITEMS[::5])
def test_item_list_holds_related_items_and_not_itself(models: ModelSet, item: str) -> None:
    ranked = ranker(models).rank_item(item)
    assert ranked.items
    assert item not in ids(ranked)
    assert "popular" not in {each.why.source for each in ranked.items}


def test_unknown_item_has_an_empty_list(models: ModelSet) -> None:
    assert ranker(models).rank_item("no such").items == ()


def test_segment_list_is_ranked_by_popularity_alone(models: ModelSet) -> None:
    for segment in ("all", *COUNTRIES):
        ranked = ranker(models).rank_segment(segment)
        assert ranked.items
        assert {item.why.source for item in ranked.items} <= {"popular", "trending"}
        assert {item.why.segment for item in ranked.items} <= {segment, None}


def test_segment_list_holds_items_chosen_in_that_segment(models: ModelSet) -> None:
    for segment in COUNTRIES:
        chosen = {action.item for action in ACTIONS if action.segment == segment}
        assert set(ids(ranker(models, 10).rank_segment(segment))) <= chosen


def test_only_the_newest_history_items_are_used(models: ModelSet) -> None:
    busiest = max(USERS, key=lambda user: sum(action.user == user for action in ACTIONS))
    recent = request(busiest)
    assert len(recent.items) == 20
    longer = recent._replace(
        items=("i34",) * 30 + tuple(recent.items),
        times=(0.0,) * 30 + tuple(recent.times),
        session_start=recent.session_start + 30,
    )
    assert ids(ranker(models).rank_user(longer)) == ids(ranker(models).rank_user(recent))


@pytest.mark.parametrize("user", USERS[:4])
def test_degraded_list_has_full_length_and_keeps_exclusions(models: ModelSet, user: str) -> None:
    full_list = ranker(models).rank_user_degraded(request(user))
    assert full_list.policy == DEGRADED_POLICY
    assert len(set(ids(full_list))) == len(full_list.items) == 20
    bought = ids(full_list)[:3]
    without = ranker(models).rank_user_degraded(request(user, excluded=bought))
    assert len(without.items) == 20
    assert not set(bought) & set(ids(without))


def test_degraded_list_uses_sessions_and_falls_back_to_popularity(models: ModelSet) -> None:
    user = USERS[0]
    degraded = ranker(models, 5).rank_user_degraded(request(user))
    seen = set(request(user).items[request(user).session_start :])
    assert seen & set(ids(degraded)[:3]), "what the session holds leads"
    assert {item.why.source for item in degraded.items} <= {"viewed_before", "similar_sessions"}
    unknown_user = ranker(models).rank_user_degraded(request("never seen"))
    assert ids(unknown_user)
    assert {item.why.source for item in unknown_user.items} <= {"popular", "trending"}
    empty_models = ModelSet(["popularity"])
    assert ranker(empty_models).rank_user_degraded(request("ann", ())).items == ()


def test_without_a_session_model_the_degraded_list_uses_all_models() -> None:
    models = build_models(ACTIONS, ["popularity", "item_to_item"])
    degraded = ranker(models).rank_user_degraded(request(USERS[0]))
    assert ids(degraded) == ids(ranker(models).rank_user(request(USERS[0])))
