import numpy as np
import pytest

from stream_app.experiment.item_rates import ItemRates

DAY = 86_400.0


def shown(rates: ItemRates, chosen: dict[int, float], rounds: int, seed: int = 1, start: float = 0.0) -> None:
    """Show item n in place n, and choose each with its chance."""
    chance = np.random.default_rng(seed)
    items = np.arange(len(chosen), dtype=np.int32)
    for at in range(rounds):
        rates.see(items, items.tolist(), start + at)
        for item, share in chosen.items():
            if chance.random() < share:
                rates.choose(item, item, start + at)


def test_a_low_place_is_not_held_against_an_item() -> None:
    rates = ItemRates()
    # nobody looks at the last place often: what is there is chosen as rarely as anything there
    shown(rates, {0: 0.3, 1: 0.1, 2: 0.02}, 3_000)
    assert rates.rate(np.arange(3, dtype=np.int32)) == pytest.approx([1.0, 1.0, 1.0], abs=0.15)


def test_what_is_chosen_more_often_than_others_in_its_place_has_a_higher_rate() -> None:
    rates = ItemRates()
    chance = np.random.default_rng(5)
    for at in range(4_000):
        first, second = (0, 1) if at % 2 else (1, 0)
        rates.see(np.array([first, second], np.int32), (0, 1), float(at))
        for place, item in enumerate((first, second)):
            if chance.random() < (0.3, 0.1)[place] * (1.5, 0.5)[item]:
                rates.choose(item, place, float(at))
    good, bad = rates.rate(np.array([0, 1], np.int32))
    assert good == pytest.approx(1.5, abs=0.1)
    assert bad == pytest.approx(0.5, abs=0.1)


def test_an_unknown_item_is_nothing_special() -> None:
    rates = ItemRates()
    assert rates.rate(np.array([7], np.int32)).tolist() == [1.0]
    shown(rates, {0: 0.5}, 10)
    assert rates.rate(np.array([999], np.int32)).tolist() == [1.0]


def test_what_was_long_ago_is_forgotten() -> None:
    rates = ItemRates(half_life=DAY)
    shown(rates, {0: 0.2, 1: 0.9}, 1_000)
    before = rates.rate(np.array([1], np.int32))[0]
    rates.see(np.array([0], np.int32), (0,), 400 * DAY)
    assert rates.rate(np.array([1], np.int32))[0] == pytest.approx(1.0, abs=1e-6)
    assert before == pytest.approx(1.0, abs=0.2)


def test_a_state_makes_the_same_rates_and_other_parameters_do_not_fit() -> None:
    rates = ItemRates()
    shown(rates, {0: 0.5, 1: 0.2}, 200)
    again = ItemRates()
    again.restore(rates.state())
    shown(rates, {0: 0.1, 1: 0.9}, 200, start=300.0)
    shown(again, {0: 0.1, 1: 0.9}, 200, start=300.0)
    items = np.arange(2, dtype=np.int32)
    assert again.rate(items).tolist() == rates.rate(items).tolist()
    with pytest.raises(ValueError, match="half_life"):
        ItemRates(half_life=1.0).restore(rates.state())


def test_a_forgotten_item_begins_anew() -> None:
    rates = ItemRates()
    shown(rates, {0: 0.9, 1: 0.0}, 300)
    rates.forget_items(np.array([0, 500], np.int32))
    assert rates.rate(np.array([0], np.int32)).tolist() == [1.0]
