"""Rewards with ranks that no list has: refused when they are decoded, harmless when they are applied."""

import msgspec
import pytest

from state.published_list import PublishedList
from topics.records import MAX_RANK, Reward, RewardKind, Source

REWARD = Reward(
    source=Source.CLICK,
    partition=0,
    offset=7,
    line=0,
    ts=100.0,
    user_id="ann",
    list_id="l",
    policy="fixed",
    kind=RewardKind.CLICK,
    item_id="shoe",
    position=1,
    seen=("hat", "shoe"),
    seen_positions=(0, 1),
)


@pytest.mark.parametrize("rank", [2**62, MAX_RANK + 1, -2])
@pytest.mark.parametrize("field", ["position", "seen_positions"])
def test_a_rank_beyond_any_list_is_refused(field: str, rank: int) -> None:
    # A mask with a bit for this rank would need more memory than there is.
    damaged = msgspec.structs.replace(REWARD, **{field: rank if field == "position" else (0, rank)})
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.msgpack.decode(msgspec.msgpack.encode(damaged), type=Reward)


@pytest.mark.parametrize("rank", [0, MAX_RANK])
def test_every_rank_of_a_list_is_read(rank: int) -> None:
    sound = msgspec.structs.replace(REWARD, position=rank, seen_positions=(rank,))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(sound), type=Reward) == sound


def test_a_reaction_without_a_rank_marks_no_item_as_rewarded() -> None:
    listed = PublishedList("l", "fixed", 100.0, ("hat", "shoe"))
    listed.apply_outcome(RewardKind.CLICK, -1, (0,), 110.0)
    assert (listed.seen, listed.has_positive_reaction(0), listed.has_positive_reaction(1)) == (
        0b01,
        False,
        False,
    )
