"""Lists for shoppers, items and segments, over the models that run by default."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pytest

from stream_app.models.model_set import ModelSet
from stream_app.models.registry import MODELS
from stream_app.ranking.ranker import HURRIED, Ranked, Ranker
from stream_app.ranking.request import RankRequest
from topics.events import CatalogItem
from topics.records import Interaction, Kind, Line, ListedItem, Source

ITEMS = tuple(f"i{number}" for number in range(35))
COUNTRIES = ("country:FR", "country:DE")


class Visit(NamedTuple):
    """A view or a purchase."""

    user: str
    item: str
    ts: float
    kind: Kind
    segment: str


def visits(count: int = 600, users: int = 30) -> list[Visit]:
    rng = np.random.default_rng(5)
    made = []
    for number in range(count):
        user = int(rng.integers(users))
        # shoppers look at neighbours of one another, so that there is something to learn
        item = ITEMS[(user + int(rng.integers(6))) % len(ITEMS)]
        kind = Kind.PURCHASE if rng.random() < 0.2 else Kind.VIEW
        made.append(Visit(f"u{user}", item, 1000.0 + 20.0 * number, kind, COUNTRIES[user % 2]))
    return made


def learned(
    events: Iterable[Visit], names: Sequence[str] = tuple(MODELS), known: Sequence[str] = ()
) -> ModelSet:
    models = ModelSet(names, max_items=1000, max_users=1000)
    for item in known:
        models.learn_catalog(CatalogItem(item_id=item, ts=0))
    for offset, visit in enumerate(events):
        source = Source.PURCHASE if visit.kind is Kind.PURCHASE else Source.CLICK
        models.learn(
            Interaction(
                source, 0, offset, visit.ts, visit.user, visit.kind, (Line(visit.item),), (visit.segment,)
            )
        )
    return models


VISITS = visits()


@pytest.fixture(scope="module")
def models() -> ModelSet:
    return learned(VISITS)


def ranker(models: ModelSet, length: int = 20) -> Ranker:
    return Ranker(models, per_source=50, length=length)


def request(user: str, events: Iterable[Visit] = VISITS, excluded: Iterable[str] = ()) -> RankRequest:
    mine = [visit for visit in events if visit.user == user]
    return RankRequest(
        user_id=user,
        items=tuple(visit.item for visit in mine[-20:]),
        times=tuple(visit.ts for visit in mine[-20:]),
        session_start=max(0, len(mine[-20:]) - 3),
        segments=(mine[-1].segment,) if mine else (),
        now=mine[-1].ts if mine else 0.0,
        excluded=tuple(excluded),
    )


USERS = sorted({visit.user for visit in VISITS})


def ids(ranked: Ranked) -> list[str]:
    return [item.id for item in ranked.items]


@pytest.mark.parametrize("user", USERS[:8])
def test_a_list_has_the_length_asked_for_its_scores_fall_and_no_item_comes_twice(
    models: ModelSet, user: str
) -> None:
    for length in (1, 7, 20):
        ranked = ranker(models, length).rank_user(request(user))
        assert len(ranked.items) == length
        assert len(set(ids(ranked))) == length
        scores = [item.score for item in ranked.items]
        assert scores == sorted(scores, reverse=True)
        assert all(item.propensity == 1.0 for item in ranked.items)
        assert ranked.model_version == len(VISITS)


def test_a_shorter_list_is_the_beginning_of_a_longer_one(models: ModelSet) -> None:
    whole = ranker(models, 20).rank_user(request("u1"))
    assert ranker(models, 5).rank_user(request("u1")).items == whole.items[:5]


@pytest.mark.parametrize("user", USERS[:8])
def test_what_was_bought_or_hidden_is_never_listed(models: ModelSet, user: str) -> None:
    before = ids(ranker(models).rank_user(request(user)))
    excluded = {*before[:10], "never seen"}
    after = ids(ranker(models).rank_user(request(user, excluded=excluded)))
    assert excluded.isdisjoint(after)
    assert after
    # and what one shopper must not see is there for the others
    assert ids(ranker(models).rank_user(request(user))) == before


def test_everything_excluded_leaves_an_empty_list(models: ModelSet) -> None:
    assert ranker(models).rank_user(request("u1", excluded=ITEMS)).items == ()


def test_what_the_catalogue_says_is_gone_is_on_no_list() -> None:
    models = learned(VISITS)
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
    listed = tuple(items)
    found = {item.why.item_id for item in listed if item.why.item_id is not None}
    segments = {item.why.segment for item in listed if item.why.segment is not None}
    return found, segments


@pytest.mark.parametrize("user", USERS)
def test_reasons_name_what_the_shopper_did_or_an_audience_they_belong_to(models: ModelSet, user: str) -> None:
    asked = request(user)
    ranked = ranker(models).rank_user(asked)
    items, segments = evidence(ranked.items)
    assert items <= set(asked.items)
    assert segments <= {"all", *asked.segments}
    assert all(item.why.source for item in ranked.items)


def test_reasons_of_an_items_list_name_that_item(models: ModelSet) -> None:
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
    assert models.version == len(VISITS)


def test_the_order_in_which_items_became_known_does_not_matter(models: ModelSet) -> None:
    there = learned(VISITS, known=sorted(ITEMS))
    back = learned(VISITS, known=sorted(ITEMS, reverse=True))
    for user in USERS:
        lists = [ids(ranker(each).rank_user(request(user))) for each in (models, there, back)]
        assert lists[0] == lists[1] == lists[2]
    for item in ITEMS:
        assert ranker(there).rank_item(item) == ranker(back).rank_item(item)
    assert ranker(there).rank_segment("all") == ranker(back).rank_segment("all")


def test_shoppers_in_another_order_leave_the_same_lists() -> None:
    additive = [name for name, model in MODELS.items() if model.additive]
    mine = learned(VISITS, additive)
    by_user = sorted(VISITS, key=lambda visit: (visit.user, visit.ts))
    other = learned(by_user, additive)
    for user in USERS:
        assert ids(ranker(mine).rank_user(request(user))) == ids(ranker(other).rank_user(request(user)))
    for item in ITEMS:
        assert ids(ranker(mine).rank_item(item)) == ids(ranker(other).rank_item(item))


def test_a_shopper_never_seen_gets_what_is_popular(models: ModelSet) -> None:
    ranked = ranker(models).rank_user(request("never seen"))
    assert len(ranked.items) == 20
    assert {item.why.source for item in ranked.items} <= {"popular", "trending"}
    popular = ids(ranker(models).rank_segment("all"))
    assert len(set(ids(ranked)[:10]) & set(popular)) >= 8


def test_a_shopper_who_saw_only_unknown_items_gets_what_is_popular(models: ModelSet) -> None:
    asked = request("never seen")._replace(items=("no such", "nor this"), times=(1.0, 2.0), now=2.0)
    ranked = ranker(models).rank_user(asked)
    assert {item.why.source for item in ranked.items} <= {"popular", "trending"}


def test_models_that_know_nothing_give_an_empty_list() -> None:
    empty = ranker(ModelSet(tuple(MODELS), max_items=10, max_users=10))
    assert empty.rank_user(request("ann", ())).items == ()
    assert empty.rank_item("i1").items == ()
    assert empty.rank_segment("all").items == ()


@pytest.mark.parametrize("item", ITEMS[::5])
def test_an_items_list_holds_its_company_and_not_itself(models: ModelSet, item: str) -> None:
    ranked = ranker(models).rank_item(item)
    assert ranked.items
    assert item not in ids(ranked)
    assert "popular" not in {each.why.source for each in ranked.items}


def test_an_item_never_seen_has_an_empty_list(models: ModelSet) -> None:
    assert ranker(models).rank_item("no such").items == ()


def test_a_segments_list_is_by_popularity_alone(models: ModelSet) -> None:
    for segment in ("all", *COUNTRIES):
        ranked = ranker(models).rank_segment(segment)
        assert ranked.items
        assert {item.why.source for item in ranked.items} <= {"popular", "trending"}
        assert {item.why.segment for item in ranked.items} <= {segment, None}


def test_a_segments_list_holds_what_that_audience_chose(models: ModelSet) -> None:
    for segment in COUNTRIES:
        chosen = {visit.item for visit in VISITS if visit.segment == segment}
        assert set(ids(ranker(models, 10).rank_segment(segment))) <= chosen


def test_only_the_newest_items_of_a_long_history_are_asked_for(models: ModelSet) -> None:
    busiest = max(USERS, key=lambda user: sum(visit.user == user for visit in VISITS))
    recent = request(busiest)
    assert len(recent.items) == 20
    longer = recent._replace(
        items=("i34",) * 30 + tuple(recent.items),
        times=(0.0,) * 30 + tuple(recent.times),
        session_start=recent.session_start + 30,
    )
    assert ids(ranker(models).rank_user(longer)) == ids(ranker(models).rank_user(recent))


@pytest.mark.parametrize("user", USERS[:4])
def test_a_list_in_a_hurry_is_as_long_and_keeps_out_what_must_not_be_listed(
    models: ModelSet, user: str
) -> None:
    whole = ranker(models).rank_user_in_hurry(request(user))
    assert whole.policy == HURRIED
    assert len(set(ids(whole))) == len(whole.items) == 20
    bought = ids(whole)[:3]
    without = ranker(models).rank_user_in_hurry(request(user, excluded=bought))
    assert len(without.items) == 20
    assert not set(bought) & set(ids(without))


def test_a_list_in_a_hurry_goes_by_the_sessions_and_is_filled_up_by_what_is_popular(models: ModelSet) -> None:
    user = USERS[0]
    hurried = ranker(models, 5).rank_user_in_hurry(request(user))
    seen = set(request(user).items[request(user).session_start :])
    assert seen & set(ids(hurried)[:3]), "what the session holds leads"
    assert {item.why.source for item in hurried.items} <= {"viewed_before", "similar_sessions"}
    stranger = ranker(models).rank_user_in_hurry(request("never seen"))
    assert ids(stranger)
    assert {item.why.source for item in stranger.items} <= {"popular", "trending"}
    unsaid = ModelSet(["popularity"])
    assert ranker(unsaid).rank_user_in_hurry(request("ann", ())).items == ()


def test_without_a_model_of_sessions_a_list_in_a_hurry_asks_all_models() -> None:
    models = learned(VISITS, ["popularity", "item_to_item"])
    hurried = ranker(models).rank_user_in_hurry(request(USERS[0]))
    assert ids(hurried) == ids(ranker(models).rank_user(request(USERS[0])))
