"""The clock of the decay: faster for a time, and the same for every replica."""

import math
import random
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.experiment.item_rates import ItemRates
from stream_app.models.decay import ForwardDecay
from stream_app.models.decay_clock import MAX_PERIODS, DecayClock, DecaySchedule, FastDecay
from stream_app.models.model_set import ModelSet
from topics.records import Interaction, Kind, Line, Source

DAY = 86_400.0
SHIFT = 10 * DAY
SCHEDULE = DecaySchedule().with_period(SHIFT, DAY, 8.0)
MODELS = ("popularity", "item_to_item", "search")


def clock_with(schedule: DecaySchedule) -> DecayClock:
    clock = DecayClock()
    clock.schedule = schedule
    return clock


def log(days: float = 20.0, n: int = 400) -> list[Interaction]:
    """Views of four partitions over some days; what is viewed changes at the shift."""
    rng = random.Random(5)
    offsets, made = [0, 0, 0, 0], []
    for step in range(n):
        ts = days * DAY * step / n
        partition = rng.randrange(4)
        item = f"{'old' if ts < SHIFT else 'new'}{rng.randrange(5)}"
        user = f"u{partition}-{rng.randrange(3)}"
        made.append(
            Interaction(
                Source.CLICK, partition, offsets[partition], ts, user, Kind.VIEW, (Line(item),), query="q"
            )
        )
        offsets[partition] += 1
    return made


def fold(interactions: Iterable[Interaction], schedule: DecaySchedule | None = None) -> ModelSet:
    models = ModelSet(MODELS, half_life=5 * DAY, session_gap=DAY)
    if schedule is not None:
        models.decay_clocks["interactions"].schedule = schedule
    for each in interactions:
        models.learn(each)
    return models


def share_of_new(models: ModelSet, at: float) -> float:
    """Share of the counts that is of items from after the shift."""
    popularity = models.models[0]
    items = np.arange(len(models.index), dtype=np.int32)
    scores = popularity.score(models.context("", (), (), 0, (), at), items)
    is_new = np.array([name.startswith("new") for name in models.index.ids_of(items.tolist())])
    return float(scores[is_new].sum() / scores.sum())


def test_half_lives_are_shorter_within_the_period_alone() -> None:
    decay = ForwardDecay(DAY, clock_with(SCHEDULE))
    decay.advance(0.0)

    def halvings(start: float, end: float) -> float:
        return math.log2(decay.weight(end) / decay.weight(start))

    assert halvings(0.0, SHIFT) == pytest.approx(10.0)
    assert halvings(SHIFT, SHIFT + DAY / 8) == pytest.approx(1.0)
    assert halvings(SHIFT, SHIFT + DAY) == pytest.approx(8.0)
    assert halvings(SHIFT + DAY, SHIFT + 3 * DAY) == pytest.approx(2.0)


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(1, 1e5), st.floats(1, 100)), max_size=MAX_PERIODS + 10),
    st.lists(st.floats(0, 3e6), min_size=2, max_size=20),
)
@settings(max_examples=60, deadline=None)
def test_the_time_of_decay_grows_with_event_time_without_jumps(
    periods: list[tuple[float, float, float]], times: list[float]
) -> None:
    schedule = DecaySchedule()
    for period in periods:
        schedule = schedule.with_period(*period)
    clock = clock_with(schedule)
    times = sorted(times)
    mapped = [clock.time(ts) for ts in times]
    assert mapped == sorted(mapped)
    assert clock.times(np.array(times)) == pytest.approx(mapped)
    for (ts, one), (later, other) in zip(
        zip(times, mapped, strict=True), list(zip(times, mapped, strict=True))[1:], strict=False
    ):
        assert other - one <= 100.0 * (later - ts) + 1e-3
    assert len(schedule.periods) <= MAX_PERIODS


def test_a_schedule_that_drops_its_oldest_period_gives_the_same_time_after_it() -> None:
    schedule = DecaySchedule()
    for number in range(MAX_PERIODS):
        schedule = schedule.with_period(10.0 * number, 5.0, 4.0)
    longer = schedule.with_period(1e6, 5.0, 4.0)
    assert len(longer.periods) == MAX_PERIODS
    assert longer.offset == 15.0
    for ts in (5.0, 9.0, 300.0, 1e6):
        assert clock_with(longer).time(ts) == pytest.approx(clock_with(schedule).time(ts))


@pytest.mark.parametrize(
    "periods",
    [
        ((20.0, 10.0, 4.0),),
        ((10.0, 20.0, 0.5),),
        ((10.0, 20.0, math.nan),),
        ((10.0, math.inf, 4.0),),
        ((10.0, 20.0, 1e6),),
        ((math.nan, 20.0, 4.0),),
        ((10.0, 30.0, 4.0), (20.0, 40.0, 4.0)),
    ],
)
def test_an_impossible_period_is_refused(periods: tuple[tuple[float, float, float], ...]) -> None:
    with pytest.raises(ValueError, match="impossible period"):
        DecaySchedule(tuple(FastDecay(*each) for each in periods))


def test_what_came_after_a_drift_counts_more() -> None:
    unchanged, faster = fold(log()), fold(log(), SCHEDULE)
    assert share_of_new(faster, 20 * DAY) > share_of_new(unchanged, 20 * DAY) + 0.1


def test_without_a_period_nothing_changes() -> None:
    assert fold(log(), DecaySchedule()).digest() == fold(log()).digest()
    assert fold(log(), SCHEDULE).digest() != fold(log()).digest()


@given(st.permutations(range(4)), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_replicas_agree_for_any_interleaving_of_partitions(order: list[int], shuffle: random.Random) -> None:
    partitions = {number: [each for each in log() if each.partition == number] for number in order}
    shuffled = []
    while any(partitions.values()):
        number = shuffle.choice([each for each, left in partitions.items() if left])
        shuffled.append(partitions[number].pop(0))
    assert fold(shuffled, SCHEDULE).digest() == fold(log(), SCHEDULE).digest()


def test_a_replica_that_hears_of_a_period_before_it_begins_agrees_with_one_that_knew_it_from_the_start() -> (
    None
):
    late = fold(each for each in log() if each.ts < SHIFT)
    late.decay_clocks["interactions"].schedule = SCHEDULE
    for each in log():
        late.learn(each)
    assert late.digest() == fold(log(), SCHEDULE).digest()


def test_a_restored_replica_goes_on_with_its_schedule() -> None:
    half = [each for each in log() if each.ts < SHIFT + DAY / 2]
    models = fold(half, SCHEDULE)
    models.decay_clocks["rewards"].schedule = DecaySchedule(offset=7.0)
    restored = ModelSet(MODELS, half_life=5 * DAY, session_gap=DAY)
    restored.restore(models.state())
    assert restored.decay_clocks["rewards"].schedule == DecaySchedule(offset=7.0)
    for each in log():
        restored.learn(each)
    assert restored.digest() == fold(log(), SCHEDULE).digest()


def test_a_state_from_before_schedules_has_none() -> None:
    state = fold(log()).state()
    del state["decay"]
    restored = ModelSet(MODELS, half_life=5 * DAY, session_gap=DAY)
    restored.restore({**state, "format": 2})
    assert restored.decay_clocks["interactions"].schedule == DecaySchedule()
    assert restored.digest() == fold(log()).digest()


def test_item_rates_forget_faster_too() -> None:
    def rate_of(schedule: DecaySchedule) -> float:
        rates = ItemRates(half_life=DAY, clock=clock_with(schedule))
        seen = np.array([0, 1], np.int32)
        for hour in range(24):
            rates.observe_impressions(seen, (0, 1), SHIFT - 3600.0 * (24 - hour))
            rates.observe_choice(0, 0, SHIFT - 3600.0 * (24 - hour))
        for hour in range(24):
            rates.observe_impressions(seen, (0, 1), SHIFT + 3600.0 * hour)
            rates.observe_choice(1, 1, SHIFT + 3600.0 * hour)
        return float(rates.rate(seen)[0])

    assert rate_of(SCHEDULE) < 1.0 < rate_of(DecaySchedule())
