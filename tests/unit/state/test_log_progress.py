"""How far a worker has read and written the logs of lists and rewards."""

import pytest

from state.dedup import RecordId
from state.log_progress import LogProgress
from topics.records import Source


def test_an_acknowledgement_moves_the_position_of_an_owned_partition_forward_alone() -> None:
    progress = LogProgress()
    progress.on_delivered("lists", 0, 41)
    assert progress.positions == {}
    progress.positions["lists", 0] = 10
    progress.on_delivered("lists", 0, 41)
    assert progress.positions == {("lists", 0): 42}
    progress.on_delivered("lists", 0, 7)
    progress.on_delivered("lists", 1, 99)
    progress.on_delivered("rewards", 0, 99)
    assert progress.positions == {("lists", 0): 42}


@pytest.mark.parametrize(
    ("offset", "first_line"), [(6, None), (7, 3), (8, 0)], ids=["earlier", "the newest", "later"]
)
def test_lines_after_the_newest_reward_lack_theirs(offset: int, first_line: int | None) -> None:
    progress = LogProgress()
    progress.last_rewarded[Source.PURCHASE, 1] = (7, 2)
    assert progress.first_unrewarded_line(RecordId(Source.PURCHASE, 1, offset)) == first_line


@pytest.mark.parametrize(("source", "partition"), [(Source.CLICK, 1), (Source.PURCHASE, 0)])
def test_without_a_reward_of_the_source_and_partition_every_line_lacks_its_own(
    source: Source, partition: int
) -> None:
    progress = LogProgress()
    progress.last_rewarded[Source.PURCHASE, 1] = (7, 2)
    assert progress.first_unrewarded_line(RecordId(source, partition, 0)) == 0


def test_the_progress_of_other_partitions_is_dropped() -> None:
    progress = LogProgress()
    for partition in range(3):
        progress.positions["lists", partition] = progress.positions["rewards", partition] = 5
        progress.last_rewarded[Source.CLICK, partition] = (1, 0)
    progress.retain_partitions({1})
    assert progress.positions == {("lists", 1): 5, ("rewards", 1): 5}
    assert progress.last_rewarded == {(Source.CLICK, 1): (1, 0)}
