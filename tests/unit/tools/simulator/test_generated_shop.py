"""The generated shop."""

from collections import Counter, defaultdict
from itertools import count, islice, pairwise

import pytest

from stream_app.tools.simulator.benchmark_load import benchmark_events
from stream_app.tools.simulator.generated_shop import GeneratedShop
from stream_app.tools.simulator.simulated_user import ShopEvent
from topics.codec import Limits, decode
from topics.events import EVENT_STRUCTS, Action, Click, Purchase, Search

N_EVENTS = 20_000


def events(seed: int = 7, number: int = N_EVENTS) -> list[ShopEvent]:
    ticks = count()
    return list(islice(GeneratedShop(seed=seed).events(lambda: 1_700_000_000.0 + next(ticks)), number))


def test_events_are_determined_by_seed_and_clock() -> None:
    assert events(number=2_000) == events(number=2_000)
    assert events(number=50) != events(seed=8, number=50)


def test_every_event_is_valid_and_timestamped_by_the_clock() -> None:
    import msgspec

    shop = GeneratedShop()
    everything = [
        *shop.catalog(lambda: 1_700_000_000.0),
        *islice(shop.events(lambda: 1_700_000_000.0), 2_000),
    ]
    for event in everything:
        assert type(event) in EVENT_STRUCTS
        decoded = decode(msgspec.json.encode(event), type(event), received=1_700_000_000.0, limits=Limits())
        assert decoded == event


def test_event_ids_are_unique_across_events_and_runs() -> None:
    events_made = events()
    other = next(GeneratedShop(run="2").events(lambda: 0.0))

    assert len({event.event_id for event in events_made}) == N_EVENTS
    assert other.event_id not in {event.event_id for event in events_made}


def test_users_mostly_click_and_sometimes_search_add_to_cart_and_buy() -> None:
    kinds = Counter(type(event) for event in events())

    assert kinds[Click] > 0.8 * N_EVENTS
    assert kinds[Search] > 0.03 * N_EVENTS
    assert 0.01 * N_EVENTS < kinds[Purchase] < 0.1 * N_EVENTS
    assert any(isinstance(event, Click) and event.action is Action.CART for event in events(number=500))


def test_a_session_has_one_user_and_mostly_items_of_one_category() -> None:
    shop = GeneratedShop()
    categories = {item.item_id: item.categories[0] for item in shop.catalog(lambda: 0.0)}
    sessions: dict[str, list[Click]] = defaultdict(list)
    for event in islice(shop.events(lambda: 0.0), N_EVENTS):
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


def test_a_shop_with_fewer_users_than_open_sessions_works() -> None:
    events_made = list(islice(GeneratedShop(items=10, users=3).events(lambda: 0.0), 500))

    assert len({event.user_id for event in events_made}) == 3
    with pytest.raises(ValueError, match="at least 10 items"):
        GeneratedShop(items=3)


def test_benchmark_events_are_deterministic_and_spread_evenly_over_users() -> None:
    events_made = list(benchmark_events(5_000, clock=lambda: 0.0, users=1_000, items=300))
    decoded = list(benchmark_events(5_000, clock=lambda: 0.0, users=1_000, items=300))

    assert events_made == decoded
    assert set(Counter(event.user_id for event in events_made).values()) == {5}
    assert sum(isinstance(event, Click) for event in events_made) > 0.85 * 5_000
