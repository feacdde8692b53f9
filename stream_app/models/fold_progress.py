"""How far the logs were folded: counters, the newest time, and the watermarks that make a fold idempotent."""

from collections.abc import Mapping
from typing import Any

from stream_app.models.model_state import State
from topics.records import Interaction, Reward, Source


class FoldProgress:
    """What was folded so far.

    Attributes
    ----------
    version
        Interactions folded.
    newest
        Newest event time folded, seconds since the epoch; 0 before the first.
    watermarks
        Highest offset folded, by source topic and partition.
    reward_watermarks
        Highest offset and line of the rewards folded, by source topic and partition.

    Examples
    --------
    >>> from topics.records import Kind, Line
    >>> progress = FoldProgress()
    >>> view = Interaction(Source.CLICK, 0, 4, 60.0, "ann", Kind.VIEW, (Line("shoe"),))
    >>> progress.advance(view), progress.advance(view), progress.version
    (True, False, 1)
    """

    def __init__(self) -> None:
        self.version = 0
        self.newest = 0.0
        self.watermarks: dict[tuple[Source, int], int] = {}
        self.reward_watermarks: dict[tuple[Source, int], tuple[int, int]] = {}

    def advance(self, interaction: Interaction) -> bool:
        """Count an interaction; False if it was folded before."""
        source_partition = (interaction.source, interaction.partition)
        if interaction.offset <= self.watermarks.get(source_partition, -1):
            return False
        self.watermarks[source_partition] = interaction.offset
        self.version += 1
        self.newest = max(self.newest, interaction.ts)
        return True

    def advance_rewards(self, reward: Reward) -> bool:
        """Pass a reward; False if it was folded before."""
        source_partition, line = (reward.source, reward.partition), (reward.offset, reward.line)
        if line <= self.reward_watermarks.get(source_partition, (-1, -1)):
            return False
        self.reward_watermarks[source_partition] = line
        return True

    def progress_state(self) -> State:
        """Counters and watermarks, as plain data."""
        return {
            "version": self.version,
            "newest": self.newest,
            "watermarks": [
                [int(source), partition, offset]
                for (source, partition), offset in sorted(self.watermarks.items())
            ],
            "reward_watermarks": [
                [int(source), partition, offset, line]
                for (source, partition), (offset, line) in sorted(self.reward_watermarks.items())
            ],
        }

    def restore_progress(self, state: Mapping[str, Any]) -> None:
        """Load the counters and watermarks of a state with the result of `progress_state`."""
        self.version = int(state["version"])
        self.newest = float(state["newest"])
        self.watermarks = {
            (Source(source), int(partition)): int(offset) for source, partition, offset in state["watermarks"]
        }
        self.reward_watermarks = {
            (Source(source), int(partition)): (int(offset), int(line))
            for source, partition, offset, line in state["reward_watermarks"]
        }
