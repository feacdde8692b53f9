"""Logs in the format of the Open Bandit Dataset: columns, errors, and the real ones."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from stream_app.errors import UserError
from stream_app.tools.evaluation.policies import open_bandit
from stream_app.tools.evaluation.policies.policy_evaluation import PolicyEvaluation
from stream_app.tools.evaluation.policies.rounds import Rounds
from stream_app.tools.evaluation.policies.verdicts import Finding

LOG = """,timestamp,item_id,position,click,propensity_score,user_feature_0,user-item_affinity_7,user-item_affinity_5
0,2019-11-24,5,1,0,0.5,x,0.25,0.75
1,2019-11-24,7,3,1,0.2,y,0.0,1.0
2,2019-11-24,5,2,0,1.0,x,0.5,0.0
"""
ITEMS = """,item_id,item_feature_0,item_feature_1
0,5,1.0,red
1,7,3.0,blue
"""


def files(folder: Path, log: str = LOG, items: str = ITEMS) -> tuple[Path, Path]:
    (folder / "some.csv.gz").write_bytes(gzip.compress(log.encode()))
    (folder / "items.csv").write_text(items)
    return folder / "some.csv.gz", folder / "items.csv"


def test_a_row_becomes_a_round(tmp_path: Path) -> None:
    rounds = open_bandit.read(*files(tmp_path))
    assert rounds.names == ("5", "7")
    assert rounds.items.tolist() == [0, 1, 0]
    assert rounds.positions.tolist() == [0, 2, 1]
    assert rounds.rewards.tolist() == [0.0, 1.0, 0.0]
    assert rounds.propensities.tolist() == [0.5, 0.2, 1.0]
    assert rounds.policies == ("some",)


def test_features_are_place_shopper_item_and_affinity(tmp_path: Path) -> None:
    design = open_bandit.read(*files(tmp_path)).design
    # places 1, 2, 3 | shopper x, y | item 5, 7 | the number, standardised, blue, red | affinity
    assert design.at(np.array([1])).tolist() == [
        [
            [0, 0, 1, 0, 1, 1, 0, -1, 0, 1, 1.0],
            [0, 0, 1, 0, 1, 0, 1, 1, 1, 0, 0.0],
        ]
    ]
    assert (design.width, design.constants) == (11, 3)


def test_without_items_those_shown_are_the_candidates(tmp_path: Path) -> None:
    log, _ = files(tmp_path)
    rounds = open_bandit.read(log)
    assert rounds.names == ("5", "7")
    assert rounds.design.at(np.array([0]))[0].tolist() == [
        [1, 0, 0, 1, 0, 1, 0, 0.75],
        [1, 0, 0, 1, 0, 0, 1, 0.25],
    ]


def test_the_limit_keeps_the_first_rows(tmp_path: Path) -> None:
    assert len(open_bandit.read(*files(tmp_path), limit=2)) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("propensity_score", "pscore", "no column 'propensity_score'"),
        (",0.2,", ",0,", r"some.csv.gz:3: propensity_score 0 is no probability above 0"),
        (",0.2,", ",1.2,", "propensity_score 1.2 is no probability"),
        (",3,1,", ",3,yes,", r"some.csv.gz:3: click 'yes' is no number"),
        ("7,3,1", "9,3,1", r"some.csv.gz:3: item_id '9' is not in .*items.csv"),
        ("0.25,0.75", "0.25", r"some.csv.gz:2: 8 columns where the header has 9"),
    ],
)
def test_what_is_wrong_is_named_with_its_row(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in LOG
    with pytest.raises(UserError, match=message):
        open_bandit.read(*files(tmp_path, LOG.replace(old, new, 1)))


def test_an_empty_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no rows"):
        open_bandit.read(*files(tmp_path, LOG.splitlines()[0] + "\n"))


@pytest.fixture(scope="module")
def men(data_dir: Path) -> dict[str, Rounds]:
    folder = data_dir / "obd"
    if not folder.is_dir():
        pytest.skip(f"no Open Bandit logs in {folder}; set HEADRACE_DATA")
    return {
        name: open_bandit.read(folder / f"{name}_men.csv.gz", folder / f"{name}_men_item_context.csv")
        for name in ("random", "bts")
    }


def test_each_real_log_has_its_published_click_rate_within_its_interval(men: dict[str, Rounds]) -> None:
    for name, rate in (("random", 0.0046), ("bts", 0.0069)):
        [logged] = PolicyEvaluation(men[name]).run([]).logged.values()
        assert logged.value.mean == pytest.approx(rate)
        assert logged.value.low < rate < logged.value.high
        assert (logged.rounds, logged.shoppers) == (10_000, 10_000)


def test_the_random_log_holds_the_truth_of_the_thompson_log_but_cannot_tell_them_apart(
    men: dict[str, Rounds],
) -> None:
    found = PolicyEvaluation(men["random"]).run([], men["bts"], "bts").targets["bts"]
    assert found.truth is not None
    assert found.truth.mean == pytest.approx(0.0069)
    assert found.mean_weight.low < 1.0 < found.mean_weight.high
    assert 2_500 < found.effective < 3_200
    for estimate in found.estimates.values():
        assert estimate.value.low < found.truth.mean < estimate.value.high
        assert estimate.value.mean > found.on_policy.mean  # the right direction
    assert found.verdict.finding is Finding.UNDECIDED
