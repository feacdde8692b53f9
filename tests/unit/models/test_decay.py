"""Forward decay."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.models.decay import HEADROOM, ForwardDecay

TIMES = st.lists(st.floats(0, 1e7), min_size=1, max_size=30)


def decayed_sum(times: list[float], now: float, half_life: float = 3600.0) -> float:
    decay = ForwardDecay(half_life)
    total = 0.0
    for ts in times:
        total *= decay.advance(ts)
        total += decay.weight(ts)
    return total * decay.at(now)


@given(TIMES, st.randoms())
@settings(deadline=None)  # the first call may compile
def test_a_sum_is_the_same_in_any_order(times: list[float], random: object) -> None:
    shuffled = list(times)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert decayed_sum(shuffled, max(times)) == pytest.approx(decayed_sum(times, max(times)), rel=1e-12)


@given(TIMES)
@settings(deadline=None)  # the first call may compile
def test_a_sum_equals_plain_exponential_decay(times: list[float]) -> None:
    now = math.ceil(max(times) / 3600.0) * 3600.0
    plain = sum(2.0 ** ((ts - now) / 3600.0) for ts in times)
    assert decayed_sum(times, now) == pytest.approx(plain, rel=1e-9)


def test_weights_by_two_landmarks_differ_by_an_exact_power_of_two() -> None:
    early, late = ForwardDecay(77.0), ForwardDecay(77.0)
    early.advance(1.5e9)
    late.advance(1.5e9 + 77.0 * 200)
    for ts in (1.5e9 + 0.1, 1.5e9 + 3000.0, 1.5e9 - 8000.0):
        assert early.weight(ts) == late.weight(ts) * 2.0 ** (late.landmark - early.landmark)


def test_the_landmark_moves_only_before_a_weight_overflows() -> None:
    decay = ForwardDecay(1.0)
    assert decay.advance(1000.0) == 1.0
    assert decay.advance(1000.0 + HEADROOM) == 1.0
    assert decay.landmark == 1000.0
    assert decay.advance(1001.0 + HEADROOM) == 2.0 ** -(HEADROOM + 1)
    assert decay.advance(1e9) == 0.0
    assert decay.weight(1e9) == 1.0
    assert decay.weight(0.0) == 0.0


def test_an_infinite_half_life_never_decays() -> None:
    decay = ForwardDecay(math.inf)
    assert [decay.advance(0.0), decay.advance(1e12)] == [1.0, 1.0]
    assert decay.weight(0.0) == decay.weight(1e12) == 1.0


@pytest.mark.parametrize("half_life", [0.0, -1.0, math.nan])
def test_a_half_life_must_be_above_0(half_life: float) -> None:
    with pytest.raises(ValueError, match="half_life"):
        ForwardDecay(half_life)
