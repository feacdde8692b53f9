"""When a demo run ends."""

from typing import Any

from stream_app.tools.demo.stop_condition import CUT_SHORT_TIMEOUT, STALL_TIMEOUT, StopCondition
from stream_app.tools.environment.worker_metrics import ScrapedMetrics


def first_met_poll(stop_condition: StopCondition, *, start: float, stop: float, **state: Any) -> float | None:
    """The first of equal polls at which the run ends; None if there is none up to `stop`."""
    at = start
    while at <= stop:
        if stop_condition.is_met(at, **state):
            return at
        at += 1.0
    return None


def test_a_run_continues_while_feeding_even_if_nothing_changes() -> None:
    idle_state: dict[str, Any] = {
        "worker_metrics": ScrapedMetrics(),
        "sent": 0,
        "feeding_done": False,
        "interrupts": 0,
    }

    assert first_met_poll(StopCondition(0.0, None), start=0, stop=10 * STALL_TIMEOUT, **idle_state) is None


def test_a_run_waits_until_events_lists_and_models_have_caught_up() -> None:
    stop_condition = StopCondition(0.0, None)
    for pending in (
        ScrapedMetrics(accepted=9.0),
        ScrapedMetrics(accepted=10.0, pending_users=1.0),
        ScrapedMetrics(accepted=10.0, replica_lag=1.0),
    ):
        assert (
            first_met_poll(
                stop_condition,
                start=0,
                stop=30,
                worker_metrics=pending,
                sent=10,
                feeding_done=True,
                interrupts=0,
            )
            is None
        )
    all_finished = ScrapedMetrics(accepted=5.0, duplicates=3.0, dead_lettered=2.0)
    assert (
        first_met_poll(
            stop_condition,
            start=31,
            stop=60,
            worker_metrics=all_finished,
            sent=10,
            feeding_done=True,
            interrupts=0,
        )
        == 33
    )
    assert stop_condition.last_progress == 31


def test_a_stalled_run_stops_after_the_stall_timeout() -> None:
    stuck: dict[str, Any] = {
        "worker_metrics": ScrapedMetrics(accepted=9.0),
        "sent": 10,
        "feeding_done": True,
        "interrupts": 0,
    }

    assert first_met_poll(StopCondition(0.0, None), start=0, stop=500, **stuck) == STALL_TIMEOUT + 1


def test_a_run_cut_short_waits_for_in_flight_events_up_to_a_timeout() -> None:
    stop_condition = StopCondition(0.0, 5.0)
    state: dict[str, Any] = {"worker_metrics": ScrapedMetrics(accepted=9.0), "sent": 10, "interrupts": 0}

    assert first_met_poll(stop_condition, start=0, stop=4, feeding_done=False, **state) is None
    assert not stop_condition.cut_short
    assert (
        first_met_poll(stop_condition, start=5, stop=500, feeding_done=True, **state)
        == 5 + CUT_SHORT_TIMEOUT + 1
    )
    assert stop_condition.cut_short


def test_a_second_interrupt_stops_the_run_at_once() -> None:
    stop_condition = StopCondition(0.0, None)
    state: dict[str, Any] = {"worker_metrics": ScrapedMetrics(accepted=9.0), "sent": 10}

    assert not stop_condition.is_met(1.0, feeding_done=False, interrupts=1, **state)
    assert stop_condition.cut_short
    assert stop_condition.is_met(1.25, feeding_done=False, interrupts=2, **state)
