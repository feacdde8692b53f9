import numpy as np
import pytest

from stream_app.experiment.item_rates import ItemRates

DAY = 86_400.0


def simulate_choices(
    rates: ItemRates, chosen: dict[int, float], rounds: int, seed: int = 1, start: float = 0.0
) -> None:
    """Display item n at rank n, and choose each with its probability."""
    rng = np.random.default_rng(seed)
    items = np.arange(len(chosen), dtype=np.int32)
    for turn in range(rounds):
        rates.observe_impressions(items, items.tolist(), start + turn)
        for item, probability in chosen.items():
            if rng.random() < probability:
                rates.observe_choice(item, item, start + turn)


def test_low_rank_does_not_lower_the_rate() -> None:
    rates = ItemRates()
    # the last rank is rarely examined: its item is chosen as rarely as expected there
    simulate_choices(rates, {0: 0.3, 1: 0.1, 2: 0.02}, 3_000)
    assert rates.rate(np.arange(3, dtype=np.int32)) == pytest.approx([1.0, 1.0, 1.0], abs=0.15)


def test_item_chosen_more_than_expected_has_a_higher_rate() -> None:
    rates = ItemRates()
    rng = np.random.default_rng(5)
    for turn in range(4_000):
        first, second = (0, 1) if turn % 2 else (1, 0)
        rates.observe_impressions(np.array([first, second], np.int32), (0, 1), float(turn))
        for rank, item in enumerate((first, second)):
            if rng.random() < (0.3, 0.1)[rank] * (1.5, 0.5)[item]:
                rates.observe_choice(item, rank, float(turn))
    good, bad = rates.rate(np.array([0, 1], np.int32))
    assert good == pytest.approx(1.5, abs=0.1)
    assert bad == pytest.approx(0.5, abs=0.1)


def test_unknown_item_has_rate_one() -> None:
    rates = ItemRates()
    assert rates.rate(np.array([7], np.int32)).tolist() == [1.0]
    simulate_choices(rates, {0: 0.5}, 10)
    assert rates.rate(np.array([999], np.int32)).tolist() == [1.0]


def test_old_observations_decay() -> None:
    rates = ItemRates(half_life=DAY)
    simulate_choices(rates, {0: 0.2, 1: 0.9}, 1_000)
    before = rates.rate(np.array([1], np.int32))[0]
    rates.observe_impressions(np.array([0], np.int32), (0,), 400 * DAY)
    assert rates.rate(np.array([1], np.int32))[0] == pytest.approx(1.0, abs=1e-6)
    assert before == pytest.approx(1.0, abs=0.2)


def test_restored_state_gives_the_same_rates_and_other_parameters_are_rejected() -> None:
    rates = ItemRates()
    simulate_choices(rates, {0: 0.5, 1: 0.2}, 200)
    again = ItemRates()
    again.restore(rates.state())
    simulate_choices(rates, {0: 0.1, 1: 0.9}, 200, start=300.0)
    simulate_choices(again, {0: 0.1, 1: 0.9}, 200, start=300.0)
    items = np.arange(2, dtype=np.int32)
    assert again.rate(items).tolist() == rates.rate(items).tolist()
    with pytest.raises(ValueError, match="half_life"):
        ItemRates(half_life=1.0).restore(rates.state())


def test_forgotten_item_starts_fresh() -> None:
    rates = ItemRates()
    simulate_choices(rates, {0: 0.9, 1: 0.0}, 300)
    rates.forget_items(np.array([0, 500], np.int32))
    assert rates.rate(np.array([0], np.int32)).tolist() == [1.0]
