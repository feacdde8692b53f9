"""The mutants that no test can tell from the code, with the reasons, from ``equivalent.toml``."""

import re
import tomllib
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from tests.mutation.mutants import Mutant
from tests.support import ROOT

EQUIVALENT: Final = ROOT / "tests" / "mutation" / "equivalent.toml"


class Rule(NamedTuple):
    """A kind of equivalent mutants: the text before and after differ within one match of a pattern.

    Attributes
    ----------
    operator
        Of the mutants.
    pattern
        A regular expression.
    replacement
        What stands in place of the match, as `re.sub` takes it; None for anything.
    modules
        The files where the reason holds; empty for all.
    reason
        Why such a defect is none.
    """

    operator: str
    pattern: str
    replacement: str | None
    modules: tuple[str, ...]
    reason: str

    def applies(self, mutant: Mutant) -> bool:
        """Whether a mutant is of this kind."""
        if mutant.operator != self.operator or (self.modules and mutant.path not in self.modules):
            return False
        return any(self._explains(mutant, found) for found in re.finditer(self.pattern, mutant.before))

    def _explains(self, mutant: Mutant, found: re.Match[str]) -> bool:
        start, end = mutant.before[: found.start()], mutant.before[found.end() :]
        if self.replacement is not None:
            return start + found.expand(self.replacement) + end == mutant.after
        return mutant.after.startswith(start) and mutant.after.removeprefix(start).endswith(end)


@cache
def _content() -> dict[str, list[dict[str, Any]]]:
    return tomllib.loads(EQUIVALENT.read_text())


@cache
def single_mutants() -> dict[tuple[str, str, str], str]:
    """The reason of each mutant that is listed alone, by its file, its text before and its text after."""
    return {
        (each["module"], each["before"], each["after"]): each["reason"] for each in _content()["equivalent"]
    }


@cache
def rules() -> Sequence[Rule]:
    """The kinds of equivalent mutants."""
    return [
        Rule(
            each["operator"],
            each["pattern"],
            each.get("replacement"),
            tuple(each.get("modules", ())),
            each["reason"],
        )
        for each in _content()["rule"]
    ]


def reason_of(mutant: Mutant) -> str:
    """Why a mutant is equivalent; empty if it is not known to be."""
    single = single_mutants().get((mutant.path, mutant.before, mutant.after))
    return single or next((rule.reason for rule in rules() if rule.applies(mutant)), "")
