"""Generated users and the changes of the shop."""

from collections.abc import Sequence
from itertools import islice

import numpy as np
import pytest

from stream_app.tools.simulator.generated_catalog import CATEGORIES
from stream_app.tools.simulator.generated_shop import GeneratedShop
from stream_app.tools.simulator.generated_user import GeneratedUser
from stream_app.tools.simulator.preference_world import DAY, PreferenceWorld
from stream_app.tools.simulator.scheduled_user import ScheduledUser
from stream_app.tools.simulator.simulation_options import SimulationOptions
from stream_app.tools.simulator.user_sources import GeneratedUserSource
from tests.support.in_memory_recommender import InMemoryRecommender, make_list, run
from topics.events import EVENT_STRUCTS, Click, Event, Impression, Purchase

WORLD = PreferenceWorld(200, seed=5)


def scheduled_users(world: PreferenceWorld, count: int = 40, days: float = 6.0) -> list[ScheduledUser]:
    return [ScheduledUser(world, number, begin=0.0, end=days * DAY) for number in range(count)]


def user_in_session(world: PreferenceWorld, number: int, now: float = 0.0) -> GeneratedUser:
    user = GeneratedUser(world, number)
    user.start_session(now)
    return user


def best_items(user: GeneratedUser, world: PreferenceWorld, count: int = 20) -> list[str]:
    order = np.argsort(-user.click_probabilities(), kind="stable")[:count]
    return [world.catalog.ids[item] for item in order]


def test_best_lists_are_clicked_at_the_oracle_rate_and_worst_lists_rarely() -> None:
    good, bad, oracle_probabilities = [], [], []
    for number in range(1_500):
        user = user_in_session(WORLD, number)
        items = best_items(user, WORLD)
        list_examination = user.act(make_list(items), 0).list_examination
        assert list_examination is not None
        assert list_examination.expected == pytest.approx(list_examination.best)
        good.append(list_examination.clicked)
        oracle_probabilities.append(list_examination.best)
        other = user_in_session(WORLD, number)
        worst = [WORLD.catalog.ids[item] for item in np.argsort(other.click_probabilities())[:20]]
        list_examination = other.act(make_list(worst), 0).list_examination
        assert list_examination is not None
        bad.append(list_examination.clicked)

    assert np.mean(good) == pytest.approx(np.mean(oracle_probabilities), abs=0.04)
    assert np.mean(bad) < 0.1 * np.mean(good)


def test_no_list_has_a_higher_click_probability_than_the_best() -> None:
    rng = np.random.default_rng(1)
    for number in range(50):
        items = [WORLD.catalog.ids[item] for item in rng.permutation(200)[:20]]
        list_examination = user_in_session(WORLD, number).act(make_list(items), 0).list_examination
        assert list_examination is not None
        assert list_examination.expected < list_examination.best


def test_ignored_and_clicked_items_have_a_lower_click_probability() -> None:
    user = user_in_session(WORLD, 3)
    items = best_items(user, WORLD, 5)
    before = user.click_probabilities()
    step = user.act(make_list(items), 0)
    after = user.click_probabilities()
    [seen] = [event.items for event in step.events if isinstance(event, Impression)]

    for item in seen:
        number = WORLD.catalog.number_of[item]
        assert after[number] < before[number]


def test_price_lowers_the_logit_in_proportion_to_price_sensitivity() -> None:
    tastes = WORLD.tastes(1, 0)
    price_sensitive, price_insensitive = (
        WORLD.click_logits(tastes._replace(price_sensitivity=price_sensitivity), 2, 0.0)
        for price_sensitivity in (2.0, 0.0)
    )

    assert np.corrcoef(price_sensitive - price_insensitive, WORLD.catalog.relative_log_price)[
        0, 1
    ] == pytest.approx(-1.0)


def test_a_shift_changes_the_tastes_of_half_the_users_and_the_appeal_of_half_the_items() -> None:
    world = PreferenceWorld(300, seed=9, begin=0.0, end=10 * DAY, shifts=(4 * DAY, 7 * DAY))
    shifted = [world.tastes(n, 0) is not world.tastes(n, 1) and world.tastes(n, 0).style != world.tastes(n, 1).style
             for n in range(400)]  # fmt: skip
    tastes = world.tastes(1, 0)
    available = world.arrival_times < 0
    pulls = [world.click_logits(tastes, 1, day * DAY)[available] for day in (0.0, 3.9, 4.1, 6.9, 7.1)]

    assert 0.4 < np.mean(shifted) < 0.6
    assert np.array_equal(pulls[0], pulls[1])
    assert 0.3 < np.mean(pulls[1] != pulls[2]) < 0.6
    assert np.array_equal(pulls[2], pulls[3])
    assert not np.array_equal(pulls[3], pulls[4])


def test_items_that_have_not_arrived_are_never_clicked_nor_best() -> None:
    world = PreferenceWorld(200, seed=9, begin=0.0, end=10 * DAY)
    arriving = [world.catalog.ids[item] for item in np.flatnonzero(world.arrival_times > 0)]
    assert 10 < len(arriving) <= 30
    list_examinations = [
        user_in_session(world, number).act(make_list(arriving), 0).list_examination for number in range(200)
    ]

    assert not any(
        list_examination is None or list_examination.clicked or list_examination.expected > 0
        for list_examination in list_examinations
    )
    assert (
        min(list_examination.best for list_examination in list_examinations if list_examination is not None)
        > 0
    )


def test_demand_for_a_category_rises_and_falls_over_the_season() -> None:
    tastes = WORLD.tastes(1, 0)._replace(categories=np.full(len(CATEGORIES), 1 / len(CATEGORIES)))
    shares = np.array([WORLD.demand(tastes, day * DAY) for day in np.arange(0, 7, 0.25)])

    assert (shares.max(axis=0) > 2 * shares.min(axis=0)).all()
    assert np.allclose(shares.sum(axis=1), 1.0)


def test_a_purchase_names_its_choice_set_and_its_list() -> None:
    tally, events = run(
        scheduled_users(WORLD, 300),
        InMemoryRecommender(lambda *_: [f"item-{n:04d}" for n in range(0, 200, 9)]),
    )
    purchases = [event for event in events if isinstance(event, Purchase)]
    recommended = [event for event in purchases if event.list_id]

    assert len(purchases) > len(recommended) > 3
    for event in purchases:
        assert event.items[0].item_id in event.shown
        assert len(event.shown) == len(event.shown_prices)
    assert all(
        event.shown == [f"item-{n:04d}" for n in range(0, 200, 9) if f"item-{n:04d}" in event.shown]
        for event in recommended
    )
    assert len(tally.attributed_sales().revenue) >= len(recommended)
    assert tally.unattributed_lines > 0


def test_impressions_cover_exactly_the_examined_items() -> None:
    tally, events = run(
        scheduled_users(WORLD), InMemoryRecommender(lambda *_: [f"item-{n:04d}" for n in range(20)])
    )
    impressions = [event for event in events if isinstance(event, Impression)]

    assert len(impressions) == tally.lists
    assert sum(len(event.items) for event in impressions) == tally.displayed().examined.sum()
    assert all(event.items == sorted(event.items) for event in impressions)
    assert sum(isinstance(e, Click) and e.position is not None for e in events) == tally.clicked


def test_a_run_is_determined_by_its_seed() -> None:
    def events_sent(seed: int) -> list[Event]:
        world = PreferenceWorld(100, seed)
        return run(
            scheduled_users(world, 15),
            InMemoryRecommender(lambda *_: [f"item-{n:04d}" for n in range(20)]),
            concurrency=4,
        )[1]

    assert events_sent(7) == events_sent(7)
    assert events_sent(7) != events_sent(8)


def test_a_user_behaves_the_same_regardless_of_other_active_users() -> None:
    def events_of_user_3(users: Sequence[ScheduledUser]) -> list[Event]:
        events = run(users, InMemoryRecommender(lambda *_: [f"item-{n:04d}" for n in range(20)]))[1]
        return [event for event in events if getattr(event, "user_id", "") == "user-3"]

    assert events_of_user_3(scheduled_users(WORLD, 30)) == events_of_user_3(scheduled_users(WORLD, 4)) != []


def test_the_source_describes_every_item_once_at_warm_up_or_on_arrival() -> None:
    source = GeneratedUserSource(SimulationOptions(items=100, days=5.0, shifts=(2.0,), users=20), "", now=1e9)
    first, later = list(source.warm_up()), list(source.arrivals())

    assert len(first) == source.warm_up_events
    assert (
        len({getattr(event, "item_id", "") for event in [*first, *later]}) == 100 == len(first) + len(later)
    )
    assert later
    assert [event.time for event in later] == sorted(event.time for event in later)
    assert all(source.begin < event.time < source.end for event in later)


def test_the_shop_generates_events_of_the_same_users_with_and_without_lists() -> None:
    shop = GeneratedShop(items=60, users=30, seed=3)
    organic_events = list(islice(shop.events(lambda: 0.0), 500))
    displayed = make_list([f"item-{n:04d}" for n in range(20)], list_id="mine")
    events_with_lists = list(
        islice(GeneratedShop(items=60, users=30, seed=3).events(lambda: 0.0, lambda _: displayed), 500)
    )

    assert not any(isinstance(event, Impression) for event in organic_events)
    assert sum(isinstance(event, Impression) for event in events_with_lists) > 100
    assert any(isinstance(event, Click) and event.list_id == "mine" for event in events_with_lists)
    assert {type(event) for event in (*organic_events, *events_with_lists)} <= set(EVENT_STRUCTS)
    assert {event.user_id for event in organic_events} | {event.user_id for event in events_with_lists} <= {
        f"user-{n}" for n in range(30)
    }
    assert all(event.shown for event in organic_events if isinstance(event, Purchase))
