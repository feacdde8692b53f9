"""All checks of a model."""

from typing import Final

from stream_app.tools.model_checks import bounds, estimator, learning, scoring, state
from stream_app.tools.model_checks.model_check import ModelCheck

CHECKS: Final[tuple[ModelCheck, ...]] = (
    *learning.CHECKS,
    *scoring.CHECKS,
    *state.CHECKS,
    *bounds.CHECKS,
    *estimator.CHECKS,
)
