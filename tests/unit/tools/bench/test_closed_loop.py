import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from stream_app.errors import UserError
from stream_app.tools.bench import closed_loop
from stream_app.tools.bench.closed_loop import ARMS, generated_shops, jackknife_interval, log_tenths, measure
from stream_app.tools.evaluation.bootstrap import Values
from stream_app.tools.simulator.regret import Regret, RegretCurve

COLUMNS = ["lists", "examined", "clicks", "conversions", "revenue", "expected", "best"]


def user_outcomes(rate: float, patience: list[float]) -> list[list[object]]:
    """Outcomes of four lists per user; clicks grow with the rate and the patience of the user."""
    rows: list[list[object]] = []
    for n, activity in enumerate(patience):
        clicks = float(round(4 * min(1.0, rate * activity * 2)))
        rows.append([f"s{n}", "thompson", [4.0, 9.0, clicks, clicks / 4, 0.0, None, None]])
        rows.append([f"s{n}", "fixed_rrf (fallback)", [1.0, 1.0, 1.0, 1.0, 0.0, None, None]])
    return rows


LOG = Path("log")


def option_value(options: Sequence[str], name: str) -> str:
    return options[list(options).index(name) + 1]


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Sequence[str], dict[str, object]]]:
    """Fake runs: half as many clicks with popularity, equal clicks with the other arms."""
    runs: list[tuple[Sequence[str], dict[str, object]]] = []

    def run(options: Sequence[str], settings: dict[str, object], out: Path) -> Regret | None:
        runs.append((options, settings))
        rate = 0.3 if settings == ARMS["popularity"] else 0.6
        generated = "--sessions" not in options
        part = int(
            option_value(options, "--seed")
            if generated
            else option_value(options, "--tenth").removesuffix("/10")
        )
        patience = np.random.default_rng(part).random(50).tolist()
        out.write_text(json.dumps({"columns": COLUMNS, "rows": user_outcomes(rate, patience)}))
        if not generated:
            return None
        # regret by half of the time; three times as many lists in the shop of seed 2
        lists = [10 * (2 * part - 1), 10]
        regret = np.cumsum([lists[0] * (1.0 - rate) * part, 5.0])
        curve = RegretCurve(policy="thompson", lists=lists, per_list=[None, None], cumulative=regret.tolist())
        return Regret(days=[5.0, 10.0], shifts=[4.0], curves=[curve])

    monkeypatch.setattr(closed_loop, "_simulate", run)
    return runs


def test_every_arm_runs_on_every_tenth(simulated: list[tuple[Sequence[str], dict[str, object]]]) -> None:
    done: list[str] = []
    results = measure(log_tenths(LOG, "diginetica", 3, 50, 0.1), done.append)
    assert [option_value(options, "--tenth") for options, _ in simulated] == [
        f"{n}/10" for n in (1, 1, 1, 2, 2, 2, 3, 3, 3)
    ]
    assert {option_value(options, "--warm-up") for options, _ in simulated} == {"0.1"}
    assert len(done) == 9
    assert {name: arm["users"] for name, arm in results["arms"].items()} == dict.fromkeys(ARMS, 150)
    assert {name: arm["lists"] for name, arm in results["arms"].items()} == dict.fromkeys(ARMS, 600)
    assert "regret" not in results


@pytest.mark.usefixtures("simulated")
def test_regret_over_time_is_weighted_by_lists() -> None:
    regret = measure(generated_shops(2, 50), lambda _: None)["regret"]
    assert (regret["days"], regret["shifts"]) == ([5.0, 10.0], [4.0])
    # .7 per list with 10 lists and 1.4 with 30: the mean is over lists, not over shops
    assert regret["per_list"]["popularity"] == [pytest.approx((10 * 0.7 + 30 * 1.4) / 40), 0.5]
    assert regret["per_list"]["thompson"] == [pytest.approx((10 * 0.4 + 30 * 0.8) / 40), 0.5]
    assert regret["lists"] == {arm: [40, 20] for arm in ARMS}


def test_regret_table_is_weighted_by_lists() -> None:
    """0.2 per list in 90 lists and 0.8 in 10 give 0.26; intervals without lists are skipped."""
    regret = {
        "days": [0.25, 0.5, 0.75, 1.0],
        "shifts": [],
        "lists": {"fixed": [90, 10, 0, 5]},
        "per_list": {"fixed": [0.2, 0.8, None, 0.4]},
    }
    output = io.StringIO()
    Console(file=output, width=60).print(closed_loop.regret_table(regret))
    rows = [line.split()[-1] for line in output.getvalue().splitlines()]
    assert rows[-2:] == ["0.260", "0.400"]


@pytest.mark.usefixtures("simulated")
def test_arms_are_compared_tenth_by_tenth() -> None:
    results = measure(log_tenths(LOG, "diginetica", 4, 50, 0.1), lambda _: None)
    pairs = {(each["policy"], each["against"], each["metric"]): each for each in results["pairs"]}
    over = pairs["fixed", "popularity", "clicks"]
    assert over["lift"]["low"] > 0.5
    assert over["difference"]["low"] > 0
    # the users of both arms are the same, so their variance cancels
    same = pairs["thompson", "fixed", "clicks"]["difference"]
    assert (same["low"], same["mean"], same["high"]) == (0.0, 0.0, 0.0)
    click_interval = results["arms"]["fixed"]["clicks"]
    assert click_interval["high"] - click_interval["low"] > 0.02
    # the report has the sums
    assert results["columns"] == ("lists", "clicks", "conversions")
    lists, clicks, _ = zip(*results["parts"]["fixed"], strict=True)
    assert sum(clicks) / sum(lists) == pytest.approx(click_interval["mean"], abs=1e-6)


@pytest.mark.usefixtures("simulated")
def test_single_tenth_has_no_interval() -> None:
    results = measure(log_tenths(LOG, "diginetica", 1, 50, 0.1), lambda _: None)
    clicks = results["arms"]["fixed"]["clicks"]
    assert clicks["mean"] > 0
    assert (clicks["low"], clicks["high"]) == (None, None)
    [lift] = {str(each["lift"]["low"]) for each in results["pairs"] if "lift" in each}
    assert lift == "None"
    json.dumps(results, allow_nan=False)


def rate(total: Values) -> float:
    return float(total[0] / total[1])


def test_the_interval_of_equal_tenths_is_the_t_interval_of_their_mean() -> None:
    """Rates .1, .2, .3: mean .2, standard deviation .1, so 4.303 · .1 / √3 with two degrees of freedom."""
    interval = jackknife_interval(np.array([[10.0, 100.0], [20.0, 100.0], [30.0, 100.0]]), rate)
    assert interval.mean == pytest.approx(0.2)
    assert interval.high - interval.mean == pytest.approx(4.303 * 0.1 / 3**0.5)
    assert interval.mean - interval.low == pytest.approx(4.303 * 0.1 / 3**0.5)


def test_tenths_are_weighted_by_size() -> None:
    """Without the first: 3 of 10; without the second: 90 of 900; and so on."""
    interval = jackknife_interval(np.array([[90.0, 900.0], [3.0, 10.0]]), rate)
    assert interval.mean == pytest.approx(93 / 910)
    leave_one_out = np.array([0.3, 0.1])
    assert interval.high - interval.mean == pytest.approx(
        12.706 * (0.5 * np.square(leave_one_out - 0.2).sum()) ** 0.5
    )


def test_interval_accounts_for_correlation_within_a_tenth() -> None:
    """In each tenth a thousand users click at the rate of the learned models, which varies by tenth."""
    rates_by_learner = np.random.default_rng(3).normal(0.3, 0.05, size=(400, 10))
    covered = 0
    for rates in rates_by_learner:
        clicks = np.random.default_rng(int(rates[0] * 1e9)).binomial(1000, rates)
        interval = jackknife_interval(np.stack([clicks, np.full(10, 1000.0)], axis=1), rate)
        covered += interval.low <= 0.3 <= interval.high
    assert covered / 400 == pytest.approx(0.95, abs=0.03)


def test_failed_run_is_reported_with_the_tail_of_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(UserError, match="ended with status 1"):
        measure(log_tenths(tmp_path / "log", "diginetica", 1, 5, 0.1), lambda _: None)
