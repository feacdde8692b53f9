"""How likely a place is to be looked at, so that a low place is not taken for a dislike."""

from typing import Any, Final

import numpy as np

from stream_app.bandit.kernels.examination import ExaminationModel, PositionModel

POSITION_MODELS: Final = tuple(model.name.lower() for model in PositionModel)
"""The position models, by name."""


class Examination:
    """Settings of a position model.

    Parameters
    ----------
    model
        ``position``: each place has its own chance to be looked at, the same for all lists (the position-based
        model), learned from rewards against what the items there are worth by themselves. ``cascade``: the shopper
        looks from the top and stops at what they choose, so a place is reached if nothing above it was chosen.
        ``none``: all that is told as seen was looked at.
    n_positions
        Places told apart; what lies lower counts as the last.
    floor
        Least chance of a place.
    position_prior_strength
        How many rewards the prior of ``position``, 1 / log2(place + 2), counts for in each place.

    Raises
    ------
    ValueError
        If a setting makes no sense.

    References
    ----------
    Richardson, Dominowska, Ragno: Predicting clicks, WWW 2007 (the position-based model); Craswell, Zoeter, Taylor,
    Ramsey: An experimental comparison of click position-bias models, WSDM 2008 (the cascade).

    Examples
    --------
    >>> Examination(n_positions=4).constants.prior.round(2).tolist()
    [1.0, 0.63, 0.5, 0.43]
    """

    def __init__(
        self,
        model: str = "position",
        *,
        n_positions: int = 20,
        floor: float = 0.05,
        position_prior_strength: float = 20.0,
    ) -> None:
        if model not in POSITION_MODELS:
            raise ValueError(f"position model must be one of {', '.join(POSITION_MODELS)}, not {model!r}")
        if n_positions < 1 or not 0 < floor <= 1 or not position_prior_strength > 0:
            raise ValueError("places must be 1 or more, floor above 0 and at most 1, trust above 0")
        self.n_positions = n_positions
        self.constants = ExaminationModel(
            POSITION_MODELS.index(model),
            np.maximum(1.0 / np.log2(np.arange(n_positions) + 2.0), floor),
            float(floor),
            float(position_prior_strength),
        )
        self.parameters: dict[str, Any] = {
            "position_model": model,
            "n_positions": n_positions,
            "floor": floor,
            "position_prior_strength": position_prior_strength,
        }
