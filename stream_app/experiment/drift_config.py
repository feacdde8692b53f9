"""Configuration of the drift detectors: light, so that settings can build it."""

import msgspec


class DriftConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of `stream_app.experiment.drift.DriftMonitor`.

    Raises
    ------
    ValueError
        If one is out of range.
    """

    significance: float = 0.0005
    """ADWIN's significance level; 0 watches nothing."""
    block: float = 100.0
    """Weight of the observations that one value of a detector is the mean of."""
    reference_blocks: int = 30
    """First blocks of a stream, whose standard deviation is the unit; nothing is found in them."""
    tolerance: float = 0.25
    """Change of the mean, in these units, below which Page-Hinkley ignores it."""
    threshold: float = 40.0
    """Sum of the deviations beyond `tolerance`, in these units, at which Page-Hinkley reports a drift."""
    agreement_blocks: int = 100
    """Blocks within which both detectors must have found a change in one direction for a drift to be sure."""
    max_streams: int = 64
    """Streams that are watched; further ones are ignored."""

    def __post_init__(self) -> None:
        if not 0 <= self.significance < 1:
            raise ValueError(f"significance must be from 0 to below 1, not {self.significance!r}")
        if not (self.block > 0 and self.tolerance >= 0 and self.threshold > 0):
            raise ValueError("block and threshold must be above 0, tolerance 0 or more")
        if self.reference_blocks < 2 or self.agreement_blocks < 1 or self.max_streams < 1:
            raise ValueError("reference_blocks must be 2 or more, agreement_blocks and max_streams 1 or more")


class FastDecayConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Faster decay after a sure drift."""

    rate: float = 1.0
    """How many times as fast counts lose weight; 1 for no effect of a drift."""
    length: float = 86_400.0
    """Seconds for which they do."""
