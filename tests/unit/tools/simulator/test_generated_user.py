"""Generated shoppers and the shop that changes under them."""

from collections.abc import Sequence
from itertools import islice

import numpy as np
import pytest

from stream_app.tools.simulator.generated_catalog import CATEGORIES
from stream_app.tools.simulator.generated_shop import Shop
from stream_app.tools.simulator.generated_user import GeneratedShopper
from stream_app.tools.simulator.preference_world import DAY, World
from stream_app.tools.simulator.scheduled_user import ComingShopper
from stream_app.tools.simulator.simulation_options import Options
from stream_app.tools.simulator.user_sources import GeneratedSource
from tests.support.in_memory_recommender import Recommender, listing, run
from topics.codec import EVENT_TYPES
from topics.events import Click, Event, Impression, Purchase

WORLD = World(200, seed=5)


def coming(world: World, count: int = 40, days: float = 6.0) -> list[ComingShopper]:
    return [ComingShopper(world, number, begin=0.0, end=days * DAY) for number in range(count)]


def opened(world: World, number: int, now: float = 0.0) -> GeneratedShopper:
    shopper = GeneratedShopper(world, number)
    shopper.open_visit(now)
    return shopper


def best_items(shopper: GeneratedShopper, world: World, count: int = 20) -> list[str]:
    order = np.argsort(-shopper.chances(), kind="stable")[:count]
    return [world.catalogue.ids[item] for item in order]


def test_lists_of_what_a_shopper_likes_are_clicked_as_often_as_the_oracle_says_and_others_hardly() -> None:
    good, bad, said = [], [], []
    for number in range(1_500):
        shopper = opened(WORLD, number)
        items = best_items(shopper, WORLD)
        look = shopper.act(listing(items), 0).look
        assert look is not None
        assert look.expected == pytest.approx(look.best)
        good.append(look.clicked)
        said.append(look.best)
        other = opened(WORLD, number)
        worst = [WORLD.catalogue.ids[item] for item in np.argsort(other.chances())[:20]]
        look = other.act(listing(worst), 0).look
        assert look is not None
        bad.append(look.clicked)

    assert np.mean(good) == pytest.approx(np.mean(said), abs=0.04)
    assert np.mean(bad) < 0.1 * np.mean(good)


def test_no_list_has_a_greater_chance_than_the_best() -> None:
    rng = np.random.default_rng(1)
    for number in range(50):
        items = [WORLD.catalogue.ids[item] for item in rng.permutation(200)[:20]]
        look = opened(WORLD, number).act(listing(items), 0).look
        assert look is not None
        assert look.expected < look.best


def test_an_item_passed_over_or_clicked_before_is_wanted_less() -> None:
    shopper = opened(WORLD, 3)
    items = best_items(shopper, WORLD, 5)
    before = shopper.chances()
    step = shopper.act(listing(items), 0)
    after = shopper.chances()
    [seen] = [event.items for event in step.events if isinstance(event, Impression)]

    for item in seen:
        number = WORLD.catalogue.number_of[item]
        assert after[number] < before[number]


def test_a_high_price_speaks_against_an_item_the_more_the_thriftier_the_shopper() -> None:
    tastes = WORLD.tastes(1, 0)
    thrifty, lavish = (WORLD.pull(tastes._replace(thrift=thrift), 2, 0.0) for thrift in (2.0, 0.0))

    assert np.corrcoef(thrifty - lavish, WORLD.catalogue.dearness)[0, 1] == pytest.approx(-1.0)


def test_a_shift_changes_the_tastes_of_half_the_shoppers_and_the_appeal_of_items_and_nothing_in_between() -> (
    None
):
    world = World(300, seed=9, begin=0.0, end=10 * DAY, shifts=(4 * DAY, 7 * DAY))
    moved = [world.tastes(n, 0) is not world.tastes(n, 1) and world.tastes(n, 0).style != world.tastes(n, 1).style
             for n in range(400)]  # fmt: skip
    tastes = world.tastes(1, 0)
    arrived = world.arrives < 0
    pulls = [world.pull(tastes, 1, day * DAY)[arrived] for day in (0.0, 3.9, 4.1, 6.9, 7.1)]

    assert 0.4 < np.mean(moved) < 0.6
    assert np.array_equal(pulls[0], pulls[1])
    assert 0.3 < np.mean(pulls[1] != pulls[2]) < 0.6
    assert np.array_equal(pulls[2], pulls[3])
    assert not np.array_equal(pulls[3], pulls[4])


def test_items_that_have_not_arrived_are_neither_clicked_nor_best() -> None:
    world = World(200, seed=9, begin=0.0, end=10 * DAY)
    late = [world.catalogue.ids[item] for item in np.flatnonzero(world.arrives > 0)]
    assert 10 < len(late) <= 30
    looks = [opened(world, number).act(listing(late), 0).look for number in range(200)]

    assert not any(look is None or look.clicked or look.expected > 0 for look in looks)
    assert min(look.best for look in looks if look is not None) > 0


def test_demand_for_a_category_rises_and_falls_over_the_season() -> None:
    tastes = WORLD.tastes(1, 0)._replace(categories=np.full(len(CATEGORIES), 1 / len(CATEGORIES)))
    shares = np.array([WORLD.demand(tastes, day * DAY) for day in np.arange(0, 7, 0.25)])

    assert (shares.max(axis=0) > 2 * shares.min(axis=0)).all()
    assert np.allclose(shares.sum(axis=1), 1.0)


def test_a_purchase_says_what_it_was_chosen_from_and_which_list() -> None:
    tally, events = run(
        coming(WORLD, 300), Recommender(lambda *_: [f"item-{n:04d}" for n in range(0, 200, 9)])
    )
    purchases = [event for event in events if isinstance(event, Purchase)]
    led = [event for event in purchases if event.list_id]

    assert len(purchases) > len(led) > 3
    for event in purchases:
        assert event.items[0].item_id in event.shown
        assert len(event.shown) == len(event.shown_prices)
    assert all(
        event.shown == [f"item-{n:04d}" for n in range(0, 200, 9) if f"item-{n:04d}" in event.shown]
        for event in led
    )
    assert len(tally.sold().revenue) >= len(led)
    assert tally.unled_lines > 0


def test_impressions_cover_exactly_what_was_looked_at() -> None:
    tally, events = run(coming(WORLD), Recommender(lambda *_: [f"item-{n:04d}" for n in range(20)]))
    impressions = [event for event in events if isinstance(event, Impression)]

    assert len(impressions) == tally.lists
    assert sum(len(event.items) for event in impressions) == tally.shown().examined.sum()
    assert all(event.items == sorted(event.items) for event in impressions)
    assert sum(isinstance(e, Click) and e.position is not None for e in events) == tally.clicked


def test_the_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    def sent(seed: int) -> list[Event]:
        world = World(100, seed)
        return run(
            coming(world, 15), Recommender(lambda *_: [f"item-{n:04d}" for n in range(20)]), at_once=4
        )[1]

    assert sent(7) == sent(7)
    assert sent(7) != sent(8)


def test_a_shopper_does_the_same_whoever_else_is_in_the_shop() -> None:
    def of_shopper_3(shoppers: Sequence[ComingShopper]) -> list[Event]:
        events = run(shoppers, Recommender(lambda *_: [f"item-{n:04d}" for n in range(20)]))[1]
        return [event for event in events if getattr(event, "user_id", "") == "shopper-3"]

    assert of_shopper_3(coming(WORLD, 30)) == of_shopper_3(coming(WORLD, 4)) != []


def test_the_source_describes_every_item_once_before_or_when_it_arrives() -> None:
    source = GeneratedSource(Options(items=100, days=5.0, shifts=(2.0,), shoppers=20), "", now=1e9)
    first, later = list(source.warm_up()), list(source.arrivals())

    assert len(first) == source.warm_up_events
    assert (
        len({getattr(event, "item_id", "") for event in [*first, *later]}) == 100 == len(first) + len(later)
    )
    assert later
    assert [event.time for event in later] == sorted(event.time for event in later)
    assert all(source.begin < event.time < source.end for event in later)


def test_the_stream_of_the_shop_is_of_the_same_shoppers_with_and_without_lists() -> None:
    shop = Shop(items=60, shoppers=30, seed=3)
    alone = list(islice(shop.events(lambda: 0.0), 500))
    shown = listing([f"item-{n:04d}" for n in range(20)], list_id="mine")
    read = list(islice(Shop(items=60, shoppers=30, seed=3).events(lambda: 0.0, lambda _: shown), 500))

    assert not any(isinstance(event, Impression) for event in alone)
    assert sum(isinstance(event, Impression) for event in read) > 100
    assert any(isinstance(event, Click) and event.list_id == "mine" for event in read)
    assert {type(event) for event in (*alone, *read)} <= set(EVENT_TYPES)
    assert {event.user_id for event in alone} | {event.user_id for event in read} <= {
        f"shopper-{n}" for n in range(30)
    }
    assert all(event.shown for event in alone if isinstance(event, Purchase))
