"""The position model: a low rank is not interpreted as a dislike."""

from typing import Final

import numpy as np

from stream_app.bandit.kernels.examination import ExaminationModel, PositionModel
from stream_app.bandit.policy import PolicyConfig

POSITION_MODELS: Final = tuple(model.name.lower() for model in PositionModel)
"""The position models, by name."""


class PositionConfig(PolicyConfig, frozen=True, kw_only=True):
    """Settings of a position model.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    Richardson, Dominowska, Ragno: Predicting clicks, WWW 2007 (the position-based model); Craswell, Zoeter, Taylor,
    Ramsey: An experimental comparison of click position-bias models, WSDM 2008 (the cascade).

    Examples
    --------
    >>> PositionConfig(n_positions=4).examination_model().prior.round(2).tolist()
    [1.0, 0.63, 0.5, 0.43]
    """

    position_model: str = "position"
    """``position``: each position has its own examination probability, the same for all lists, estimated from the
    rewards there against the rewards predicted for the items there. ``cascade``: users scan from the top and stop at
    their choice, so a position is examined if nothing above it was chosen. ``none``: every impression is examined.
    """
    n_positions: int = 20
    """Positions with a probability of their own; lower ones count as the last."""
    floor: float = 0.05
    """Least examination probability."""
    position_prior_strength: float = 20.0
    """Rewards per position that the prior of ``position``, 1 / log2(position + 2), counts for."""

    def __post_init__(self) -> None:
        if self.position_model not in POSITION_MODELS:
            raise ValueError(
                f"position_model must be one of {', '.join(POSITION_MODELS)}, not {self.position_model!r}"
            )
        if self.n_positions < 1 or not 0 < self.floor <= 1 or not self.position_prior_strength > 0:
            raise ValueError(
                "n_positions must be 1 or more, floor above 0 and at most 1, position_prior_strength above 0"
            )

    def examination_model(self) -> ExaminationModel:
        """The model as kernels take it."""
        return ExaminationModel(
            POSITION_MODELS.index(self.position_model),
            np.maximum(1.0 / np.log2(np.arange(self.n_positions) + 2.0), self.floor),
            float(self.floor),
            float(self.position_prior_strength),
        )
