"""Users who replay a log."""

from collections.abc import Sequence

import numpy as np
import pytest

from stream_app.tools.simulator.logged_users import LoggedEvent, LoggedUser, group_by_user
from stream_app.tools.simulator.replayed_user import ReplayedUser
from tests.support.in_memory_recommender import InMemoryRecommender, make_list, run
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


def make_replayed_user(*events: LoggedEvent, seed: int = 7, run: str = "") -> ReplayedUser:
    [logged_user] = group_by_user(events)
    return ReplayedUser(logged_user, seed=seed, run=run)


SESSIONS = {f"u{n}": [f"{n}-{step}" for step in range(6)] for n in range(60)}
LOG = group_by_user(
    [event for n, (user, items) in enumerate(SESSIONS.items()) for event in clicks(user, *items, begin=n)]
)


def replayed_users(seed: int = 7) -> list[ReplayedUser]:
    return [ReplayedUser(logged_user, seed=seed) for logged_user in LOG]


def next_items(user: str, session_items: Sequence[str]) -> list[str]:
    """The later items of the session, the next one first."""
    items = SESSIONS[user]
    begin = items.index(session_items[-1]) + 1 if session_items else 0
    return items[begin:]


def test_a_recommender_that_ranks_the_next_item_first_is_clicked_on_every_list() -> None:
    tally, _ = run(
        replayed_users(),
        InMemoryRecommender(lambda user, session_items: [*next_items(user, session_items), "never"]),
    )

    displayed = tally.displayed()
    assert tally.lists > 60
    # "never" is the only item on the list of a session without earlier events
    assert displayed.clicked.mean() == 1.0
    assert displayed.examined.max() == 1


def test_a_recommender_without_the_next_items_is_never_clicked() -> None:
    tally, events = run(replayed_users(), InMemoryRecommender(lambda *_: [f"other-{n}" for n in range(20)]))

    assert tally.lists == sum(map(len, SESSIONS.values()))
    assert tally.clicked == 0
    assert not [event for event in events if isinstance(event, Click) and event.list_id]


@pytest.mark.parametrize("rank", [0, 1, 4])
def test_click_rate_falls_with_rank_as_examination_does(rank: int) -> None:
    log = group_by_user(event for n in range(4_000) for event in clicks(f"u{n}", "a", "b"))
    users = [ReplayedUser(logged_user, seed=3) for logged_user in log]
    displayed = make_list([*(f"other-{n}" for n in range(rank)), "b"])
    clicked = [each.step(displayed).list_examination for each in users]

    share = np.mean(
        [list_examination is not None and list_examination.clicked for list_examination in clicked]
    )
    assert share == pytest.approx(1 / (rank + 1), abs=0.025)


def test_every_logged_event_is_sent_once_regardless_of_clicks() -> None:
    _, events = run(
        replayed_users(),
        InMemoryRecommender(lambda user, session_items: next_items(user, session_items)[::-1]),
    )

    for user, items in SESSIONS.items():
        events_sent = [event for event in events if isinstance(event, Click) and event.user_id == user]
        assert sorted(click.item_id for click in events_sent) == sorted(items)
        assert len({click.event_id for click in events_sent}) == len(items)
    assert any(event.list_id for event in events if isinstance(event, Click))


def test_organic_events_are_sent_in_log_order() -> None:
    _, events = run(
        replayed_users(), InMemoryRecommender(lambda user, session_items: next_items(user, session_items)[2:])
    )

    for user, items in SESSIONS.items():
        organic = [
            e.item_id for e in events if isinstance(e, Click) and e.user_id == user and e.list_id is None
        ]
        assert organic == [item for item in items if item in organic]


def test_clicks_name_list_and_position_and_impressions_the_examined_items() -> None:
    tally, events = run(
        replayed_users(),
        InMemoryRecommender(lambda user, session_items: ["x", "y", *next_items(user, session_items)[::-1]]),
    )

    impressions = {event.list_id: event for event in events if isinstance(event, Impression)}
    recommended = [event for event in events if isinstance(event, Click) and event.list_id]
    assert len(impressions) == tally.lists
    assert len(recommended) == tally.clicked > 20
    for click in recommended:
        seen = impressions[click.list_id]
        assert seen.items[-1] == click.item_id
        assert click.position == len(seen.items) - 1
        assert seen.items[:2] == ["x", "y"]
    assert sum(len(event.items) for event in impressions.values()) == tally.displayed().examined.sum()


def test_consecutive_events_on_an_item_are_one_stay_and_the_item_is_excluded_from_the_list() -> None:
    one = make_replayed_user(*clicks("u", "a", "a", "a", "b", "b", "c"))
    recommender = InMemoryRecommender(lambda *_: ["a", "other"])
    tally, events = run([one], recommender)

    assert tally.lists == 3
    assert recommender.excluded == [(), ("a",), ("b",)]
    assert [event.item_id for event in events if isinstance(event, Click)] == ["a", "a", "a", "b", "b", "c"]


def test_the_current_item_is_not_clicked_on_a_list() -> None:
    one = make_replayed_user(*clicks("u", "a", "b"), *clicks("u", "a", session="s", begin=10 * MINUTE))
    one.step(None)
    list_examination = one.step(make_list(["a"])).list_examination

    assert one.current_item == "b"
    assert list_examination is not None
    assert not list_examination.clicked


def test_a_stay_is_recommended_at_most_once_and_its_remaining_events_keep_their_time() -> None:
    one = make_replayed_user(*clicks("u", "a", "b", "c", "c", "d"))
    first = one.step(make_list(["c"]))
    later_steps = [one.step(make_list(["c"])) for _ in range(3)]

    assert [getattr(event, "item_id", "look") for event in first.events] == ["look", "c", "a"]
    assert [[getattr(e, "item_id", "look") for e in step.events] for step in later_steps] == [
        ["look", "b"], ["look", "c"], ["look", "d"],
    ]  # fmt: skip
    assert not any(step.list_examination and step.list_examination.clicked for step in later_steps)
    assert one.next_time is None


def test_a_stay_fully_sent_after_a_recommendation_is_skipped() -> None:
    one = make_replayed_user(*clicks("u", "a", "b", "c"))
    one.step(make_list(["b"]))

    assert [getattr(event, "item_id", "look") for event in one.step(None).events] == ["c"]
    assert one.next_time is None


def test_items_of_another_session_are_not_clicked() -> None:
    one = make_replayed_user(*clicks("u", "a"), *clicks("u", "b", session="t", begin=60 * MINUTE))
    list_examination = one.step(make_list(["b"])).list_examination

    assert list_examination is not None
    assert not list_examination.clicked


def test_a_purchase_is_attributed_to_the_list_of_its_click_and_keeps_its_logged_fields() -> None:
    one = make_replayed_user(*clicks("u", "a", "b"), purchase("b", 5 * MINUTE))
    one.step(make_list(["b"], list_id="mine"))
    step = one.step(None)

    [purchase_event] = step.events
    assert isinstance(purchase_event, Purchase)
    assert purchase_event.list_id == "mine"
    assert purchase_event.shown == ["x", "b"]
    assert [(sale.list_id, sale.revenue) for sale in step.sales] == [("mine", 50.0)]


def test_a_purchase_without_a_recommended_click_is_unattributed() -> None:
    one = make_replayed_user(*clicks("u", "a", "b"), purchase("b", 5 * MINUTE))
    one.step(make_list(["other"]))
    step = one.step(make_list(["other"]))

    assert [sale.list_id for sale in step.sales] == [""]
    assert all(event.list_id is None for event in step.events if isinstance(event, Purchase))


def test_a_recommended_purchase_without_a_logged_click_gets_a_click() -> None:
    one = make_replayed_user(*clicks("u", "a"), purchase("b", 5 * MINUTE))
    first = one.step(make_list(["b"], list_id="mine"))
    second = one.step(make_list(["b"]))

    recommended = [event for event in first.events if isinstance(event, Click) and event.list_id]
    assert [(click.item_id, click.action) for click in recommended] == [("b", Action.VIEW)]
    assert second.list_examination is not None
    assert not second.list_examination.clicked
    assert [sale.list_id for sale in second.sales] == ["mine"]


def test_searches_are_sent_unchanged_and_clear_the_current_item() -> None:
    search = Search(event_id="q", user_id="u", session_id="s", ts=MINUTE // 2, query="Rome")
    one = make_replayed_user(*clicks("u", "a", "b"), search)
    one.step(None)
    [events_sent] = one.step(None).events

    assert isinstance(events_sent, Search)
    assert events_sent.query == "Rome"
    assert one.current_item is None


def test_a_run_is_determined_by_its_seed() -> None:
    def events_sent(seed: int) -> list[Event]:
        return run(
            replayed_users(seed),
            InMemoryRecommender(lambda user, session_items: ["x", *next_items(user, session_items)]),
        )[1]

    assert events_sent(7) == events_sent(7)
    assert events_sent(7) != events_sent(8)


def test_two_recommenders_are_examined_to_the_same_depths() -> None:
    def examined(items: Sequence[str]) -> list[float]:
        lists = run(replayed_users(), InMemoryRecommender(lambda *_: items))[0].displayed()
        return sorted(zip(lists.user.tolist(), lists.time.tolist(), lists.examined.tolist(), strict=True))  # type: ignore[arg-type]

    assert examined([f"x{n}" for n in range(20)]) == examined([f"y{n}" for n in range(20)])


def test_a_run_has_its_own_ids_and_increasing_times() -> None:
    one = make_replayed_user(*clicks("u", "a", "a", "b"), run="r-")
    events = [event for _ in range(2) for event in one.step(make_list(["x"])).events]

    assert {event.user_id for event in events} == {"r-u"}
    assert all(event.event_id.startswith("r-") for event in events)
    times = [event.time for event in events]
    assert times == sorted(set(times))


def test_examination_depth_depends_on_the_user_number_and_not_on_execution_order() -> None:
    all_users = run(
        replayed_users(), InMemoryRecommender(lambda *_: [f"x{n}" for n in range(20)]), concurrency=1
    )[0]
    subset = run(replayed_users()[30:], InMemoryRecommender(lambda *_: [f"x{n}" for n in range(20)]))[0]

    def by_user(tally: object) -> dict[str, list[float]]:
        displayed, users = tally.displayed(), list(tally.users)  # type: ignore[attr-defined]
        return {
            user: displayed.examined[displayed.user == number].tolist() for number, user in enumerate(users)
        }

    assert by_user(subset).items() <= by_user(all_users).items()


def test_a_logged_user_without_timestamps_becomes_clicks() -> None:
    from stream_app.tools.evaluation.session_files import SessionClock

    session = SessionClock(1_000).timed_session(["a", "b"])
    [session_events] = LoggedUser(0, session.user, session).sessions()

    assert [(event.user_id, getattr(event, "item_id", "")) for event in session_events] == [
        ("session-1", "a"),
        ("session-1", "b"),
    ]
    assert session_events[1].time - session_events[0].time == 1.0
