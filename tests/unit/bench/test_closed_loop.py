import json
import sys
from pathlib import Path

import numpy as np
import pytest

from stream_app.bench import closed_loop
from stream_app.bench.closed_loop import ARMS, measure
from stream_app.errors import UserError

COLUMNS = ["lists", "examined", "clicks", "conversions", "revenue", "expected", "best"]


def shoppers(rate: float, patience: list[float]) -> list[list[object]]:
    """Outcomes where each shopper clicks on four lists the more, the higher the rate and their patience."""
    rows: list[list[object]] = []
    for n, share in enumerate(patience):
        clicks = float(round(4 * min(1.0, rate * share * 2)))
        rows.append([f"s{n}", "thompson", [4.0, 9.0, clicks, clicks / 4, 0.0, None, None]])
        rows.append([f"s{n}", "fixed_rrf (fallback)", [1.0, 1.0, 1.0, 1.0, 0.0, None, None]])
    return rows


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, dict[str, object]]]:
    """Runs that write outcomes at once: half as many clicks with popularity, the same with the others."""
    runs: list[tuple[int, dict[str, object]]] = []

    def run(
        _log: Path, _format: str, tenth: int, _n: int, _warm: float, settings: dict[str, object], out: Path
    ) -> None:
        runs.append((tenth, settings))
        rate = 0.3 if settings == ARMS["popularity"] else 0.6
        patience = np.random.default_rng(tenth).random(50).tolist()
        out.write_text(json.dumps({"columns": COLUMNS, "rows": shoppers(rate, patience)}))

    monkeypatch.setattr(closed_loop, "_simulate", run)
    return runs


def test_every_arm_is_run_on_every_tenth(simulated: list[tuple[int, dict[str, object]]]) -> None:
    done: list[str] = []
    told = measure(Path("log"), "diginetica", 3, 50, 0.1, done.append)
    assert [tenth for tenth, _ in simulated] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert len(done) == 9
    assert {name: arm["shoppers"] for name, arm in told["arms"].items()} == dict.fromkeys(ARMS, 150)
    assert {name: arm["lists"] for name, arm in told["arms"].items()} == dict.fromkeys(ARMS, 600)


@pytest.mark.usefixtures("simulated")
def test_arms_are_compared_shopper_by_shopper() -> None:
    told = measure(Path("log"), "diginetica", 4, 50, 0.1, lambda _: None)
    pairs = {(each["policy"], each["against"], each["figure"]): each for each in told["pairs"]}
    over = pairs["fixed", "popularity", "clicks"]
    assert over["lift"]["low"] > 0.5
    assert over["difference"]["low"] > 0
    # the same shoppers did the same: nothing is left to chance, however much they differ from each other
    same = pairs["thompson", "fixed", "clicks"]["difference"]
    assert (same["low"], same["mean"], same["high"]) == (0.0, 0.0, 0.0)
    spread = told["arms"]["fixed"]["clicks"]
    assert spread["high"] - spread["low"] > 0.02


def test_a_run_that_fails_is_said_with_the_end_of_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(UserError, match="ended with status 1"):
        measure(tmp_path / "log", "diginetica", 1, 5, 0.1, lambda _: None)
