"""A check of a model, a policy or a fusion, its failure, and its result."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

Run = Callable[[Any], None]
"""A check; it gets a function that makes what it checks, in a harness."""

OF_RIVER: Final = (
    "The object of River does so itself: give it other parameters, or leave it out; workers may differ, grow, or "
    "keep what was erased."
)


class CheckFailedError(AssertionError):
    """A model does not do what a check asks; the message is what it does."""


class NotApplicableError(Exception):
    """A check says nothing about a model; the message is the reason."""


class Outcome(StrEnum):
    """Outcome of a check of a model."""

    OK = "ok"
    NOT_APPLICABLE = "n/a"
    FAIL = "FAIL"


class ModelCheck(NamedTuple):
    """One check.

    Attributes
    ----------
    name
        Its name, of words joined by hyphens.
    rule
        What a model must do.
    remedy
        What to do if it does not.
    run
        Raises `CheckFailedError` if it does not.
    river
        What to do if an object of River does not.
    """

    name: str
    rule: str
    remedy: str
    run: Run
    river: str = OF_RIVER


class ModelCheckResult(NamedTuple):
    """The outcome of a check, with what the model did."""

    check: ModelCheck
    outcome: Outcome
    detail: str = ""


Checks = list[ModelCheck]


def check(checks: Checks, remedy: str, river: str = OF_RIVER) -> Callable[[Run], ModelCheck]:
    """Decorate a function as a check; its first line says what a model must do.

    Parameters
    ----------
    remedy, river
        What to do if a model of a package, or an object of River, does not.

    Examples
    --------
    >>> checks: Checks = []
    >>> @check(checks, "Return fewer.")
    ... def check_few_candidates(make_harness: Callable[..., Any]) -> None:
    ...     '''A list has at most k items.'''
    >>> checks[0].name, checks[0].rule
    ('few-candidates', 'A list has at most k items.')
    """

    def decorate(run: Run) -> ModelCheck:
        name = run.__name__.removeprefix("check_").replace("_", "-")
        rule = (run.__doc__ or "").splitlines()[0]
        checks.append(ModelCheck(name, rule, remedy, run, river))
        return checks[-1]

    return decorate


def expect(condition: object, detail: str) -> None:
    """Fail a check unless a condition holds.

    Parameters
    ----------
    detail
        What the model does instead.

    Raises
    ------
    CheckFailedError
        If it does not hold.

    Examples
    --------
    >>> expect(1 > 2, "1 is not above 2")
    Traceback (most recent call last):
    stream_app.tools.model_checks.model_check.CheckFailedError: 1 is not above 2
    """
    if not condition:
        fail(detail)


def fail(detail: str) -> NoReturn:
    """Fail a check."""
    raise CheckFailedError(detail)


def run_checks(make_harness: Callable[..., Any], checks: Sequence[ModelCheck]) -> Iterator[ModelCheckResult]:
    """Run checks, and yield each result at once; an error of the model fails a check, too."""
    for each in checks:
        try:
            each.run(make_harness)
        except CheckFailedError as error:
            yield ModelCheckResult(each, Outcome.FAIL, str(error))
        except NotApplicableError as error:
            yield ModelCheckResult(each, Outcome.NOT_APPLICABLE, str(error))
        except Exception as error:  # noqa: BLE001  # a model may raise whatever it likes
            last = traceback.extract_tb(error.__traceback__)[-1]
            location = f"{Path(last.filename).name}:{last.lineno}"
            yield ModelCheckResult(each, Outcome.FAIL, f"{type(error).__name__}: {error} ({location})")
        else:
            yield ModelCheckResult(each, Outcome.OK)
