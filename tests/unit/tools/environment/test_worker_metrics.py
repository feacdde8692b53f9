"""Figures out of metrics, quantiles out of buckets, and when a run is over."""

import math
from typing import Any

import pytest
from prometheus_client.samples import Sample

from stream_app.metrics import Metrics
from stream_app.tools.demo.stop_condition import CUT_PATIENCE, STALL_PATIENCE, Ending
from stream_app.tools.environment.histogram_quantiles import Buckets
from stream_app.tools.environment.worker_metrics import (
    Figures,
    History,
    parse,
    parse_policies,
    samples_of,
    total,
)


def exposition(metrics: Metrics) -> list[Sample]:
    from prometheus_client import generate_latest

    return samples_of(generate_latest(metrics.registry).decode())


def test_the_workers_metrics_are_read_by_their_names() -> None:
    metrics = Metrics()
    metrics.events.labels("events.click", "accepted").inc(7)
    metrics.events.labels("events.search", "accepted").inc(2)
    metrics.events.labels("catalog.items", "accepted").inc(1)
    metrics.events.labels("events.click", "duplicate").inc(3)
    metrics.events.labels("events.purchase", "dead_lettered").inc(4)
    metrics.events.labels("events.click", "replayed").inc(99)
    metrics.events.labels("events.click", "rekeyed").inc(99)
    metrics.lists_published.labels("user").inc(5)
    metrics.lists_published.labels("item").inc(6)
    metrics.lists_published.labels("search").inc(3)
    metrics.list_requests.inc(10)
    metrics.list_hits.inc(4)
    metrics.list_reciprocal_rank.inc(2.5)
    metrics.waiting.users.set(8)
    metrics.replica_lag_messages.set(9)
    metrics.ready.set(1)
    metrics.freshness.observe(0.02)

    figures = parse(exposition(metrics))

    assert (figures.accepted, figures.duplicates, figures.dead_lettered) == (10, 3, 4)
    assert figures.finished == 17
    assert (figures.lists_published, figures.lists_of_shoppers, figures.lists_of_searches) == (14, 5, 3)
    assert (figures.hit_rate, figures.mrr) == (0.4, 0.25)
    assert (figures.dirty_users, figures.lag_messages, figures.ready) == (8, 9, 1)
    assert figures.freshness.total == 1


def test_how_policies_do_is_read_by_name() -> None:
    metrics = Metrics()
    metrics.policies.share.labels("fixed").set(0.25)
    metrics.policies.resting.labels("fixed").set(1)
    metrics.policies.shoppers.labels("fixed").set(40)
    for bound, value in (("mean", 0.5), ("low", 0.4), ("high", 0.6)):
        metrics.policies.figure.labels("fixed", "clicks", bound).set(value)
        metrics.policies.figure.labels("fixed", "purchases", bound).set(value / 10)
    metrics.policies.share.labels("thompson").set(0.75)

    told = parse_policies(exposition(metrics))

    assert list(told) == ["fixed", "thompson"]
    assert told["fixed"].resting
    assert (told["fixed"].share, told["fixed"].shoppers, told["fixed"].clicks) == (
        0.25,
        40.0,
        (0.5, 0.4, 0.6),
    )
    assert told["fixed"].purchases == (0.05, 0.04, 0.06)
    assert not told["thompson"].resting
    assert math.isnan(told["thompson"].clicks[0])


def test_what_has_neither_a_share_nor_lists_seen_is_no_policy_to_look_at() -> None:
    metrics = Metrics()
    for name, share, shoppers in (("fixed", 1.0, 0), ("thompson", 0.0, 30), ("linucb", 0.0, 0)):
        metrics.policies.share.labels(name).set(share)
        metrics.policies.shoppers.labels(name).set(shoppers)
    # no policy: how lists are called that the fused order alone made
    for name in ("learned", "search_rrf", "hurried"):
        metrics.policies.shoppers.labels(name).set(25)
        metrics.policies.figure.labels(name, "clicks", "mean").set(0.5)

    assert list(parse_policies(exposition(metrics))) == ["fixed", "thompson"]


def test_workers_add_up_and_a_fresh_one_counts_nothing() -> None:
    metrics = Metrics()
    metrics.events.labels("events.click", "accepted").inc(7)
    metrics.freshness.observe(0.02)
    one = parse(exposition(metrics))

    both = total([one, one, parse(exposition(Metrics()))])

    assert both.accepted == 14
    assert both.freshness.total == 2
    assert total([]).hit_rate is None


def test_what_was_counted_since_leaves_gauges_as_they_are() -> None:
    since = Figures(accepted=10.0, dirty_users=3.0).since(Figures(accepted=4.0, dirty_users=5.0))

    assert (since.accepted, since.dirty_users) == (6.0, 3.0)


def test_lately_reaches_back_a_few_seconds_only() -> None:
    history = History()
    for step in range(101):
        seconds = step * 0.25
        history.add(seconds, Figures(accepted=100.0 * min(seconds, 20.0)))

    assert history.rate == pytest.approx(0.0), "nothing happened for the last five seconds"
    history.add(25.25, Figures(accepted=2_500.0))
    assert history.lately.accepted == 500.0


# 10 observations up to 10 ms, 80 between 10 and 20, 9 between 20 and 50, 1 above 50.
WORKED = Buckets((0.01, 0.02, 0.05, math.inf), (10.0, 90.0, 99.0, 100.0))


@pytest.mark.parametrize(
    ("q", "seconds"),
    [
        (0.05, 0.005),  # the 5th of 10 within 0 to 10 ms
        (0.1, 0.01),
        (0.5, 0.015),  # the 40th of 80 within 10 to 20 ms
        (0.9, 0.02),
        (0.93, 0.03),  # the 3rd of 9 within 20 to 50 ms
        (0.99, 0.05),
        (0.999, 0.05),  # above the last finite bound
    ],
)
def test_quantiles_are_interpolated_within_their_bucket(q: float, seconds: float) -> None:
    assert WORKED.quantile(q) == pytest.approx(seconds)


def test_no_observation_has_no_quantile() -> None:
    assert Buckets().quantile(0.5) is None
    assert (WORKED - WORKED).quantile(0.5) is None


def test_histograms_of_other_bounds_are_not_mixed() -> None:
    with pytest.raises(ValueError, match="different bounds"):
        WORKED + Buckets((1.0,), (1.0,))


def looks(ending: Ending, *, start: float, stop: float, **state: Any) -> float | None:
    """The first look of a run of equal ones that ends it."""
    at = start
    while at <= stop:
        if ending.reached(at, **state):
            return at
        at += 1.0
    return None


def test_a_run_goes_on_while_it_is_fed_however_long_nothing_moves() -> None:
    quiet: dict[str, Any] = {"figures": Figures(), "sent": 0, "fed": False, "interrupts": 0}

    assert looks(Ending(0.0, None), start=0, stop=10 * STALL_PATIENCE, **quiet) is None


def test_a_run_waits_for_outcomes_lists_and_models() -> None:
    ending = Ending(0.0, None)
    for waiting in (
        Figures(accepted=9.0),
        Figures(accepted=10.0, dirty_users=1.0),
        Figures(accepted=10.0, lag_messages=1.0),
    ):
        assert looks(ending, start=0, stop=30, figures=waiting, sent=10, fed=True, interrupts=0) is None
    done = Figures(accepted=5.0, duplicates=3.0, dead_lettered=2.0)
    assert looks(ending, start=31, stop=60, figures=done, sent=10, fed=True, interrupts=0) == 33
    assert ending.worked_until == 31


def test_a_log_that_is_stuck_ends_after_a_while() -> None:
    stuck: dict[str, Any] = {"figures": Figures(accepted=9.0), "sent": 10, "fed": True, "interrupts": 0}

    assert looks(Ending(0.0, None), start=0, stop=500, **stuck) == STALL_PATIENCE + 1


def test_a_run_cut_short_waits_a_little_for_what_is_on_its_way() -> None:
    ending = Ending(0.0, 5.0)
    state: dict[str, Any] = {"figures": Figures(accepted=9.0), "sent": 10, "interrupts": 0}

    assert looks(ending, start=0, stop=4, fed=False, **state) is None
    assert not ending.cut
    assert looks(ending, start=5, stop=500, fed=True, **state) == 5 + CUT_PATIENCE + 1
    assert ending.cut


def test_a_second_interrupt_ends_it_at_once() -> None:
    ending = Ending(0.0, None)
    state: dict[str, Any] = {"figures": Figures(accepted=9.0), "sent": 10}

    assert not ending.reached(1.0, fed=False, interrupts=1, **state)
    assert ending.cut
    assert ending.reached(1.25, fed=False, interrupts=2, **state)
