"""Tests a sample of mutants within a time bound."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from tests.mutation.equivalent import reason_of
from tests.mutation.modules import modules, tests_of
from tests.mutation.mutants import Candidate, Mutant, list_candidates, make_mutant
from tests.mutation.runner import Child
from tests.support import ROOT

_MAX_SECONDS: Final = 240.0
"""Seconds of one run of tests, on a busy machine; a mutant that takes longer runs in circles."""

_POLL_SECONDS: Final = 0.02


class Result(NamedTuple):
    """The outcome of a mutant; ``reason`` says why a survivor is equivalent, empty if it is not known to be."""

    mutant: Mutant
    outcome: str
    reason: str = ""


class Report(NamedTuple):
    """The results of a sample; stillborn mutants, which cannot be imported, are no defects and do not count."""

    results: tuple[Result, ...]
    n_candidates: int

    def count(self, outcome: str) -> int:
        """Number of mutants with an outcome."""
        return sum(result.outcome == outcome for result in self.results)

    @property
    def n_tested(self) -> int:
        """Mutants that are defects, as far as it is known."""
        return sum(result.outcome != "stillborn" and not result.reason for result in self.results)

    @property
    def survivors(self) -> list[Mutant]:
        """Survivors that are not known to be equivalent."""
        return [each.mutant for each in self.results if each.outcome == "survived" and not each.reason]

    @property
    def share_killed(self) -> float:
        """Share of the tested mutants that died; 1 for an empty sample."""
        return 1.0 - len(self.survivors) / self.n_tested if self.n_tested else 1.0


def sample_candidates(packages: Iterable[str], size: int | None, seed: int) -> tuple[list[Candidate], int]:
    """Places in random order, and the number of all; `size` None is all."""
    found = [
        candidate for package in packages for path in modules(package) for candidate in list_candidates(path)
    ]
    random.Random(seed).shuffle(found)
    return found[:size], len(found)


class _Task:
    """One mutant under test: first the near tests, then all others of the package."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant: Final = mutant
        near, others = tests_of(mutant.path)
        self._remaining = [tests for tests in (near, others) if tests]
        self._child = self._start()

    def _start(self) -> Child:
        return Child(self.mutant.path, self.mutant.source, self._remaining.pop(0), _MAX_SECONDS)

    def outcome(self) -> str | None:
        found = self._child.outcome()
        if found == "broken":
            raise RuntimeError(f"the tests of {self.mutant.path} did not run:\n{self._child.output}")
        if found == "survived" and self._remaining:
            self._child = self._start()
            return None
        return found


class UnchangedCodeFailsError(RuntimeError):
    """The tests fail without a defect: they would kill every mutant."""


def check_unchanged(packages: Iterable[str]) -> None:
    """Run the tests of each package on the code as it is.

    Raises
    ------
    UnchangedCodeFailsError
        If they fail.
    """
    done: set[str] = set()
    for package in packages:
        paths = modules(package)
        listed = dict.fromkeys(test for path in paths for group in tests_of(path) for test in group)
        tests = [test for test in listed if test not in done]
        done.update(tests)
        child = Child(paths[0], (ROOT / paths[0]).read_text(), tests, _MAX_SECONDS * 2)
        while (outcome := child.outcome()) is None:
            time.sleep(_POLL_SECONDS)
        if outcome != "survived":
            raise UnchangedCodeFailsError(
                f"the tests of {package} fail without a defect ({outcome}):\n{child.output}"
            )


def run_sample(
    candidates: Sequence[Candidate],
    n_candidates: int,
    *,
    processes: int = 2,
    seconds: float | None = None,
    on_result: Callable[[Result], None] = lambda _: None,
) -> Report:
    """Test mutants, in several processes at once, until all are done or the time is over."""
    deadline = time.monotonic() + seconds if seconds is not None else None
    waiting = list(reversed(candidates))
    running: list[_Task] = []
    results: list[Result] = []
    while running or (waiting and (deadline is None or time.monotonic() < deadline)):
        while waiting and len(running) < processes and (deadline is None or time.monotonic() < deadline):
            mutant = make_mutant(waiting.pop())
            if mutant is not None:
                running.append(_Task(mutant))
        for task in running.copy():
            outcome = task.outcome()
            if outcome is not None:
                running.remove(task)
                reason = reason_of(task.mutant) if outcome == "survived" else ""
                results.append(Result(task.mutant, outcome, reason))
                on_result(results[-1])
        time.sleep(_POLL_SECONDS)
    return Report(tuple(results), n_candidates)


def summarize(report: Report) -> dict[str, int | float]:
    """The counts of a report."""
    outcomes = Counter(result.outcome for result in report.results)
    return {
        "candidates": report.n_candidates,
        "sampled": len(report.results),
        "stillborn": outcomes["stillborn"],
        "killed": outcomes["killed"] + outcomes["timeout"],
        "equivalent": sum(bool(result.reason) for result in report.results),
        "survived": len(report.survivors),
        "share_killed": round(report.share_killed, 4),
    }
