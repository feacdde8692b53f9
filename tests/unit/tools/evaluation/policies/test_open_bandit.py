"""Logs in the format of the Open Bandit Dataset: columns, errors, and the real data."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from stream_app.errors import UserError
from stream_app.tools.evaluation.policies import open_bandit
from stream_app.tools.evaluation.policies.policy_evaluation import PolicyEvaluation
from stream_app.tools.evaluation.policies.rounds import Rounds
from stream_app.tools.evaluation.policies.verdicts import VerdictKind

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


def test_each_row_becomes_a_round(tmp_path: Path) -> None:
    rounds = open_bandit.read(*files(tmp_path))
    assert rounds.names == ("5", "7")
    assert rounds.items.tolist() == [0, 1, 0]
    assert rounds.positions.tolist() == [0, 2, 1]
    assert rounds.rewards.tolist() == [0.0, 1.0, 0.0]
    assert rounds.propensities.tolist() == [0.5, 0.2, 1.0]
    assert rounds.policies == ("some",)


def test_features_are_position_user_item_and_affinity(tmp_path: Path) -> None:
    design = open_bandit.read(*files(tmp_path)).design
    # positions 1, 2, 3 | user x, y | item 5, 7 | the number, standardized, blue, red | affinity
    assert design.candidate_features(np.array([1])).tolist() == [
        [
            [0, 0, 1, 0, 1, 1, 0, -1, 0, 1, 1.0],
            [0, 0, 1, 0, 1, 0, 1, 1, 1, 0, 0.0],
        ]
    ]
    assert (design.width, design.constants) == (11, 3)


def test_without_an_item_file_the_logged_items_are_the_candidates(tmp_path: Path) -> None:
    log, _ = files(tmp_path)
    rounds = open_bandit.read(log)
    assert rounds.names == ("5", "7")
    assert rounds.design.candidate_features(np.array([0]))[0].tolist() == [
        [1, 0, 0, 1, 0, 1, 0, 0.75],
        [1, 0, 0, 1, 0, 0, 1, 0.25],
    ]


def test_the_limit_keeps_the_first_rows(tmp_path: Path) -> None:
    assert len(open_bandit.read(*files(tmp_path), limit=2)) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("propensity_score", "pscore", "no column 'propensity_score'"),
        (",0.2,", ",0,", r"some.csv.gz:3: propensity_score 0 is not a probability above 0"),
        (",0.2,", ",1.2,", "propensity_score 1.2 is not a probability"),
        (",3,1,", ",3,yes,", r"some.csv.gz:3: click 'yes' is not a number"),
        ("7,3,1", "9,3,1", r"some.csv.gz:3: item_id '9' is not in .*items.csv"),
        ("0.25,0.75", "0.25", r"some.csv.gz:2: 8 columns where the header has 9"),
    ],
)
def test_errors_name_the_row(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in LOG
    with pytest.raises(UserError, match=message):
        open_bandit.read(*files(tmp_path, LOG.replace(old, new, 1)))


def test_empty_log_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no rows"):
        open_bandit.read(*files(tmp_path, LOG.splitlines()[0] + "\n"))


@pytest.fixture(scope="module")
def mens_logs(data_dir: Path) -> dict[str, Rounds]:
    folder = data_dir / "obd"
    if not folder.is_dir():
        pytest.skip(f"no Open Bandit logs in {folder}; set HEADRACE_DATA")
    return {
        name: open_bandit.read(folder / f"{name}_men.csv.gz", folder / f"{name}_men_item_context.csv")
        for name in ("random", "bts")
    }


def test_click_rate_of_each_real_log_matches_the_publication(mens_logs: dict[str, Rounds]) -> None:
    for name, rate in (("random", 0.0046), ("bts", 0.0069)):
        [logged] = PolicyEvaluation(mens_logs[name]).run([]).logged.values()
        assert logged.value.mean == pytest.approx(rate)
        assert logged.value.low < rate < logged.value.high
        assert (logged.rounds, logged.users) == (10_000, 10_000)


def test_random_log_covers_the_thompson_value_but_is_undecided(
    mens_logs: dict[str, Rounds],
) -> None:
    evaluation = PolicyEvaluation(mens_logs["random"]).run([], mens_logs["bts"], "bts").targets["bts"]
    assert evaluation.truth is not None
    assert evaluation.truth.mean == pytest.approx(0.0069)
    assert evaluation.mean_weight.low < 1.0 < evaluation.mean_weight.high
    assert 2_500 < evaluation.effective_rounds < 3_200
    for estimate in evaluation.estimates.values():
        assert estimate.value.low < evaluation.truth.mean < estimate.value.high
        assert estimate.value.mean > evaluation.on_policy.mean  # the right direction
    assert evaluation.verdict.finding is VerdictKind.UNDECIDED
