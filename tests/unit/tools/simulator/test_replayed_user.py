"""Shoppers who follow a log."""

from collections.abc import Sequence

import numpy as np
import pytest

from stream_app.tools.simulator.logged_users import LoggedEvent, LoggedShopper, by_shopper
from stream_app.tools.simulator.replayed_user import ReplayedShopper
from tests.support.in_memory_recommender import Recommender, listing, run
from topics.events import Action, Click, Event, Impression, OrderLine, Purchase, Search

MINUTE = 60_000


def clicks(user: str, *items: str, session: str = "s", begin: int = 0) -> list[LoggedEvent]:
    return [
        Click(
            event_id=f"{user}-{session}-{n}",
            user_id=user,
            session_id=session,
            ts=begin + n * MINUTE,
            item_id=item,
        )
        for n, item in enumerate(items)
    ]


def purchase(item: str, ts: int, *, user: str = "u", price: float = 50.0) -> Purchase:
    line = OrderLine(item_id=item, price=price)
    return Purchase(
        event_id=f"{user}-buys-{ts}", user_id=user, session_id="s", ts=ts, order_id=f"o-{ts}", items=[line],
        shown=["x", item], shown_prices=[1.0, price],
    )  # fmt: skip


def shopper(*events: LoggedEvent, seed: int = 7, run: str = "") -> ReplayedShopper:
    [logged] = by_shopper(events)
    return ReplayedShopper(logged, seed=seed, run=run)


SESSIONS = {f"u{n}": [f"{n}-{step}" for step in range(6)] for n in range(60)}
LOG = by_shopper(
    [event for n, (user, items) in enumerate(SESSIONS.items()) for event in clicks(user, *items, begin=n)]
)


def everybody(seed: int = 7) -> list[ReplayedShopper]:
    return [ReplayedShopper(logged, seed=seed) for logged in LOG]


def future(user: str, before: Sequence[str]) -> list[str]:
    """What the session will go on to, soonest first."""
    items = SESSIONS[user]
    begin = items.index(before[-1]) + 1 if before else 0
    return items[begin:]


def test_a_recommender_that_puts_the_sessions_future_on_top_is_clicked_on_every_list() -> None:
    tally, _ = run(everybody(), Recommender(lambda user, before: [*future(user, before), "never"]))

    shown = tally.shown()
    assert tally.lists > 60
    # "never" is alone on the list of a session that has nothing before it
    assert shown.clicked.mean() == 1.0
    assert shown.examined.max() == 1


def test_a_recommender_that_never_shows_where_the_session_goes_is_never_clicked() -> None:
    tally, events = run(everybody(), Recommender(lambda *_: [f"other-{n}" for n in range(20)]))

    assert tally.lists == sum(map(len, SESSIONS.values()))
    assert tally.clicked == 0
    assert not [event for event in events if isinstance(event, Click) and event.list_id]


@pytest.mark.parametrize("place", [0, 1, 4])
def test_a_place_further_down_is_clicked_as_much_less_as_it_is_looked_at_less(place: int) -> None:
    log = by_shopper(event for n in range(4_000) for event in clicks(f"u{n}", "a", "b"))
    shoppers = [ReplayedShopper(logged, seed=3) for logged in log]
    shown = listing([*(f"other-{n}" for n in range(place)), "b"])
    clicked = [each.step(shown).look for each in shoppers]

    share = np.mean([look is not None and look.clicked for look in clicked])
    assert share == pytest.approx(1 / (place + 1), abs=0.025)


def test_every_event_of_the_log_is_sent_once_whatever_is_clicked() -> None:
    _, events = run(everybody(), Recommender(lambda user, before: future(user, before)[::-1]))

    for user, items in SESSIONS.items():
        sent = [event for event in events if isinstance(event, Click) and event.user_id == user]
        assert sorted(click.item_id for click in sent) == sorted(items)
        assert len({click.event_id for click in sent}) == len(items)
    assert any(event.list_id for event in events if isinstance(event, Click))


def test_what_was_not_clicked_on_a_list_is_sent_in_the_order_of_the_log() -> None:
    _, events = run(everybody(), Recommender(lambda user, before: future(user, before)[2:]))

    for user, items in SESSIONS.items():
        alone = [
            e.item_id for e in events if isinstance(e, Click) and e.user_id == user and e.list_id is None
        ]
        assert alone == [item for item in items if item in alone]


def test_a_click_names_its_list_and_its_place_and_an_impression_exactly_what_was_looked_at() -> None:
    tally, events = run(
        everybody(), Recommender(lambda user, before: ["x", "y", *future(user, before)[::-1]])
    )

    impressions = {event.list_id: event for event in events if isinstance(event, Impression)}
    led = [event for event in events if isinstance(event, Click) and event.list_id]
    assert len(impressions) == tally.lists
    assert len(led) == tally.clicked > 20
    for click in led:
        seen = impressions[click.list_id]
        assert seen.items[-1] == click.item_id
        assert click.position == len(seen.items) - 1
        assert seen.items[:2] == ["x", "y"]
    assert sum(len(event.items) for event in impressions.values()) == tally.shown().examined.sum()


def test_events_in_a_row_on_one_item_are_one_stay_with_one_look_and_the_item_is_left_out_of_its_list() -> (
    None
):
    one = shopper(*clicks("u", "a", "a", "a", "b", "b", "c"))
    recommender = Recommender(lambda *_: ["a", "other"])
    tally, events = run([one], recommender)

    assert tally.lists == 3
    assert recommender.excluded == [(), ("a",), ("b",)]
    assert [event.item_id for event in events if isinstance(event, Click)] == ["a", "a", "a", "b", "b", "c"]


def test_the_item_a_shopper_is_at_is_no_place_to_go_to_even_where_a_list_shows_it() -> None:
    one = shopper(*clicks("u", "a", "b"), *clicks("u", "a", session="s", begin=10 * MINUTE))
    one.step(None)
    look = one.step(listing(["a"])).look

    assert one.at == "b"
    assert look is not None
    assert not look.clicked


def test_a_stay_that_was_led_to_is_led_to_once_and_the_rest_of_it_follows_in_its_time() -> None:
    one = shopper(*clicks("u", "a", "b", "c", "c", "d"))
    first = one.step(listing(["c"]))
    again = [one.step(listing(["c"])) for _ in range(3)]

    assert [getattr(event, "item_id", "look") for event in first.events] == ["look", "c", "a"]
    assert [[getattr(e, "item_id", "look") for e in step.events] for step in again] == [
        ["look", "b"], ["look", "c"], ["look", "d"],
    ]  # fmt: skip
    assert not any(step.look and step.look.clicked for step in again)
    assert one.due is None


def test_a_stay_sent_whole_from_a_list_is_passed_over() -> None:
    one = shopper(*clicks("u", "a", "b", "c"))
    one.step(listing(["b"]))

    assert [getattr(event, "item_id", "look") for event in one.step(None).events] == ["c"]
    assert one.due is None


def test_nothing_of_another_visit_is_clicked() -> None:
    one = shopper(*clicks("u", "a"), *clicks("u", "b", session="t", begin=60 * MINUTE))
    look = one.step(listing(["b"])).look

    assert look is not None
    assert not look.clicked


def test_a_purchase_counts_for_the_list_its_item_was_clicked_on_and_keeps_what_the_log_says_of_it() -> None:
    one = shopper(*clicks("u", "a", "b"), purchase("b", 5 * MINUTE))
    one.step(listing(["b"], list_id="mine"))
    step = one.step(None)

    [bought] = step.events
    assert isinstance(bought, Purchase)
    assert bought.list_id == "mine"
    assert bought.shown == ["x", "b"]
    assert [(sale.list_id, sale.revenue) for sale in step.sales] == [("mine", 50.0)]


def test_a_purchase_found_without_a_list_counts_for_none() -> None:
    one = shopper(*clicks("u", "a", "b"), purchase("b", 5 * MINUTE))
    one.step(listing(["other"]))
    step = one.step(listing(["other"]))

    assert [sale.list_id for sale in step.sales] == [""]
    assert all(event.list_id is None for event in step.events if isinstance(event, Purchase))


def test_a_purchase_without_a_click_in_the_log_gets_one_when_a_list_leads_to_it() -> None:
    one = shopper(*clicks("u", "a"), purchase("b", 5 * MINUTE))
    first = one.step(listing(["b"], list_id="mine"))
    second = one.step(listing(["b"]))

    led = [event for event in first.events if isinstance(event, Click) and event.list_id]
    assert [(click.item_id, click.action) for click in led] == [("b", Action.VIEW)]
    assert second.look is not None
    assert not second.look.clicked
    assert [sale.list_id for sale in second.sales] == ["mine"]


def test_searches_are_sent_as_they_are_and_lead_away_from_the_item() -> None:
    search = Search(event_id="q", user_id="u", session_id="s", ts=MINUTE // 2, query="Rome")
    one = shopper(*clicks("u", "a", "b"), search)
    one.step(None)
    [sent] = one.step(None).events

    assert isinstance(sent, Search)
    assert sent.query == "Rome"
    assert one.at is None


def test_the_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    def sent(seed: int) -> list[Event]:
        return run(everybody(seed), Recommender(lambda user, before: ["x", *future(user, before)]))[1]

    assert sent(7) == sent(7)
    assert sent(7) != sent(8)


def test_two_recommenders_are_looked_at_with_the_same_patience() -> None:
    def examined(items: Sequence[str]) -> list[float]:
        shown = run(everybody(), Recommender(lambda *_: items))[0].shown()
        return sorted(zip(shown.user.tolist(), shown.time.tolist(), shown.examined.tolist(), strict=True))  # type: ignore[arg-type]

    assert examined([f"x{n}" for n in range(20)]) == examined([f"y{n}" for n in range(20)])


def test_a_run_has_ids_of_its_own_and_times_that_rise() -> None:
    one = shopper(*clicks("u", "a", "a", "b"), run="r-")
    events = [event for _ in range(2) for event in one.step(listing(["x"])).events]

    assert {event.user_id for event in events} == {"r-u"}
    assert all(event.event_id.startswith("r-") for event in events)
    times = [event.time for event in events]
    assert times == sorted(set(times))


def test_the_number_in_the_log_and_not_the_order_of_running_decides_a_shoppers_patience() -> None:
    forward = run(everybody(), Recommender(lambda *_: [f"x{n}" for n in range(20)]), at_once=1)[0]
    few = run(everybody()[30:], Recommender(lambda *_: [f"x{n}" for n in range(20)]))[0]

    def by_user(tally: object) -> dict[str, list[float]]:
        shown, users = tally.shown(), list(tally.users)  # type: ignore[attr-defined]
        return {user: shown.examined[shown.user == number].tolist() for number, user in enumerate(users)}

    assert by_user(few).items() <= by_user(forward).items()


def test_a_logged_shopper_without_times_becomes_clicks() -> None:
    from stream_app.tools.evaluation.session_files import SessionClock

    visit = SessionClock(1_000).visit(["a", "b"])
    [made] = LoggedShopper(0, visit.user, visit).visits()

    assert [(event.user_id, getattr(event, "item_id", "")) for event in made] == [
        ("session-1", "a"),
        ("session-1", "b"),
    ]
    assert made[1].time - made[0].time == 1.0
