"""The generated shop."""

from collections import Counter, defaultdict
from itertools import count, islice, pairwise

import pytest

from stream_app.tools.simulator.benchmark_load import benchmark_events
from stream_app.tools.simulator.generated_shop import Shop
from stream_app.tools.simulator.simulated_user import ShopEvent
from topics.codec import EVENT_TYPES, Limits, decode
from topics.events import Action, Click, Purchase, Search

MANY = 20_000


def events(seed: int = 7, number: int = MANY) -> list[ShopEvent]:
    ticks = count()
    return list(islice(Shop(seed=seed).events(lambda: 1_700_000_000.0 + next(ticks)), number))


def test_the_same_seed_and_clock_give_the_same_events_and_another_seed_others() -> None:
    assert events(number=2_000) == events(number=2_000)
    assert events(number=50) != events(seed=8, number=50)


def test_every_event_is_sound_and_dated_by_the_clock() -> None:
    import msgspec

    shop = Shop()
    everything = [
        *shop.catalogue(lambda: 1_700_000_000.0),
        *islice(shop.events(lambda: 1_700_000_000.0), 2_000),
    ]
    for event in everything:
        assert type(event) in EVENT_TYPES
        again = decode(msgspec.json.encode(event), type(event), received=1_700_000_000.0, limits=Limits())
        assert again == event


def test_event_ids_are_unique_and_a_run_has_its_own() -> None:
    made = events()
    other = next(Shop(run="2").events(lambda: 0.0))

    assert len({event.event_id for event in made}) == MANY
    assert other.event_id not in {event.event_id for event in made}


def test_shoppers_mostly_click_and_now_and_then_search_fill_a_cart_and_buy() -> None:
    kinds = Counter(type(event) for event in events())

    assert kinds[Click] > 0.8 * MANY
    assert kinds[Search] > 0.03 * MANY
    assert 0.01 * MANY < kinds[Purchase] < 0.1 * MANY
    assert any(isinstance(event, Click) and event.action is Action.CART for event in events(number=500))


def test_a_session_belongs_to_one_shopper_and_stays_among_related_items() -> None:
    shop = Shop()
    categories = {item.item_id: item.categories[0] for item in shop.catalogue(lambda: 0.0)}
    sessions: dict[str, list[Click]] = defaultdict(list)
    for event in islice(shop.events(lambda: 0.0), MANY):
        if isinstance(event, Click) and event.session_id is not None:
            sessions[event.session_id].append(event)
    steps = [
        categories[a.item_id] == categories[b.item_id]
        for clicks in sessions.values()
        for a, b in pairwise(clicks)
    ]

    assert all(len({click.user_id for click in clicks}) == 1 for clicks in sessions.values())
    assert sum(steps) / len(steps) > 0.7


def test_some_items_are_far_more_popular_than_others() -> None:
    clicks = Counter(event.item_id for event in events() if isinstance(event, Click))
    top = sum(number for _, number in clicks.most_common(50))

    assert top > 0.3 * clicks.total()


def test_a_shop_smaller_than_its_open_sessions_works() -> None:
    made = list(islice(Shop(items=10, shoppers=3).events(lambda: 0.0), 500))

    assert len({event.user_id for event in made}) == 3
    with pytest.raises(ValueError, match="at least 10 items"):
        Shop(items=3)


def test_benchmark_events_are_deterministic_and_spread_evenly_over_shoppers() -> None:
    made = list(benchmark_events(5_000, clock=lambda: 0.0, users=1_000, items=300))
    again = list(benchmark_events(5_000, clock=lambda: 0.0, users=1_000, items=300))

    assert made == again
    assert set(Counter(event.user_id for event in made).values()) == {5}
    assert sum(isinstance(event, Click) for event in made) > 0.85 * 5_000
