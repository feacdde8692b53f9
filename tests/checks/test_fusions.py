"""Every learned fusion passes every check; fusions that break a rule fail its check."""

from functools import partial
from typing import Any

import numpy as np
import pytest

from stream_app.errors import UserError
from stream_app.ranking.fusion.choice_fusion import ChoiceFusion
from stream_app.ranking.fusion.rank_fusion import FusedList
from stream_app.ranking.fusion.weighted import WeightedFusion
from stream_app.tools.model_checks.fusion_checks import CHECKS
from stream_app.tools.model_checks.fusion_harness import FusionHarness
from stream_app.tools.model_checks.model_check import ModelCheck, Outcome, run_checks


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("name", ["learned", "weighted"])
def test_fusion(name: str, check: ModelCheck) -> None:
    check.run(partial(FusionHarness, name))


class Lost(WeightedFusion):
    """Restores nothing of what it learned."""

    def _set_state(self, state: Any) -> None: ...


class Forward(WeightedFusion):
    """Lists what may not be listed, in the wrong order."""

    def fuse(self, context: Any, proposals: Any, length: int, *, allowed: Any) -> FusedList:
        fused = super().fuse(context, proposals, length, allowed=np.ones_like(allowed))
        return fused.at(np.arange(len(fused.items))[::-1])


class Deaf(WeightedFusion):
    """Learns nothing."""

    def on_interaction(self, interaction: Any) -> None: ...


def failures(fusion: type[ChoiceFusion]) -> dict[str, str]:
    class Harness(FusionHarness):
        def __init__(self) -> None:
            super().__init__("weighted")
            at = self.models.learners.index(self.fusion)
            self.fusion = self.models.learners[at] = fusion(self.models)  # type: ignore[call-arg]

    results = run_checks(Harness, CHECKS)
    return {each.check.name: each.detail for each in results if each.outcome is Outcome.FAIL}


@pytest.mark.parametrize(
    ("fusion", "check", "detail"),
    [
        (Forward, "lists-are-well-formed", "an item that may not be listed is listed"),
        (Deaf, "choices-are-learned", "choices do not change the state"),
        (Lost, "state-round-trips", "the state of the restored fusion differs"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_fusion_that_breaks_a_rule_fails_its_check(
    fusion: type[ChoiceFusion], check: str, detail: str
) -> None:
    assert detail in failures(fusion)[check]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rrf", "fusion:rrf learns nothing; the checks are for learned, weighted and those of packages."),
        ("lerned", "There is no fusion 'lerned'; there are learned, weighted, rrf, borda."),
    ],
)
def test_a_name_without_checks_is_a_sentence(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        FusionHarness(name)
