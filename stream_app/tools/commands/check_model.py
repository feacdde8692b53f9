"""Run the checks of `stream_app.tools.model_checks` on a model, a policy or a fusion, and print their results."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any, Final, NamedTuple

import typer
from rich.markup import escape
from rich.table import Table

from stream_app.bandit.river_policy import RiverPolicy
from stream_app.errors import UserError
from stream_app.models.registry import TRAINED_MODELS, check_parameters, source_of
from stream_app.models.river_model import RiverModel
from stream_app.ranking.assembly import FUSION
from stream_app.settings import load_settings
from stream_app.tools.cli.check_model import CheckModelOptions
from stream_app.tools.console import print_table
from stream_app.tools.model_checks import fusion_checks, policy_checks
from stream_app.tools.model_checks.fusion_harness import FusionHarness
from stream_app.tools.model_checks.harness import ModelHarness, stream
from stream_app.tools.model_checks.model_check import ModelCheck, ModelCheckResult, Outcome, run_checks
from stream_app.tools.model_checks.policy_harness import PolicyHarness
from stream_app.tools.model_checks.suite import CHECKS
from stream_app.tools.model_checks.trained_harness import TrainedHarness

_COLORS: Final = {Outcome.OK: "green", Outcome.NOT_APPLICABLE: "default", Outcome.FAIL: "red"}
_POLICY: Final = "policy:"
_FUSION: Final = "fusion:"


class _Subject(NamedTuple):
    """What is checked.

    Attributes
    ----------
    is_river
        Whether it wraps an object of River.
    costs
        What learning and ranking cost here, in one line.
    """

    make_harness: Callable[..., Any]
    checks: Sequence[ModelCheck]
    is_river: bool
    costs: Callable[[], str]


def run(options: CheckModelOptions) -> None:
    """Print a table of checks; exit status 1 if one failed.

    Raises
    ------
    UserError
        If there is no such model, policy, fusion or check, or it has no parameter of a name.
    """
    name = options.name
    if name.startswith(_POLICY):
        subject = _policy(name.removeprefix(_POLICY))
    elif name.startswith(_FUSION):
        subject = _fusion(name.removeprefix(_FUSION))
    else:
        subject = _model(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the model's numerics: a check says what comes of them
        results = list(run_checks(subject.make_harness, _selected(options.only, subject.checks)))
        costs = subject.costs()
    print_table(_table(name, results, is_river=subject.is_river))
    failed = sum(result.outcome is Outcome.FAIL for result in results)
    typer.echo(f"{len(results) - failed} of {len(results)} checks passed. {costs}".rstrip())
    raise typer.Exit(int(failed > 0))


def _model(name: str) -> _Subject:
    overrides = load_settings().model_parameters.get(name, {})
    source_of(name)
    check_parameters({name: overrides})
    harness = TrainedHarness if name in TRAINED_MODELS else ModelHarness
    make_harness = partial(harness, name, overrides=overrides)
    # an invalid parameter of River is an error of the settings, not of each check
    model = make_harness().model
    return _Subject(make_harness, CHECKS, isinstance(model, RiverModel), lambda: _costs(make_harness()))


def _policy(name: str) -> _Subject:
    overrides = load_settings().policy_parameters.get(name, {})
    make_harness = partial(PolicyHarness, name, overrides)
    policy = make_harness().policy
    return _Subject(make_harness, policy_checks.CHECKS, isinstance(policy, RiverPolicy), lambda: "")


def _fusion(name: str) -> _Subject:
    overrides = load_settings().model_parameters.get(FUSION, {})
    make_harness = partial(FusionHarness, name, overrides)
    make_harness()
    return _Subject(make_harness, fusion_checks.CHECKS, is_river=False, costs=lambda: "")


def _selected(names: str | None, checks: Sequence[ModelCheck]) -> Sequence[ModelCheck]:
    if names is None:
        return checks
    by_name = {check.name: check for check in checks}
    selected = [name.strip() for name in names.split(",")]
    for name in selected:
        if name not in by_name:
            raise UserError(f"--only: there is no check {name!r}; there are {', '.join(by_name)}.")
    return [by_name[name] for name in selected]


def _table(name: str, results: Sequence[ModelCheckResult], *, is_river: bool) -> Table:
    table = Table("check", "", "rule, or what the model does instead", "what to do", title=escape(name))
    for check, outcome, detail in results:
        is_failed = outcome is Outcome.FAIL
        table.add_row(
            check.name,
            f"[{_COLORS[outcome]}]{outcome}[/]",
            escape(detail or check.rule),
            escape(check.river if is_river else check.remedy) if is_failed else "",
        )
    return table


def _costs(harness: ModelHarness) -> str:
    """What learning and ranking cost here, in one line; empty for a model that raises an error."""
    try:
        learned, listed = _measured(harness)
    except Exception:  # noqa: BLE001  # a check has failed by it
        return ""
    if harness.model.is_trained_apart:
        return f"Proposes candidates in {listed * 1e6:,.0f} µs here; a trainer learns it."
    line = f"Learns an interaction in {learned * 1e6:,.0f} µs, proposes candidates in {listed * 1e6:,.0f} µs here."
    if isinstance(harness.model, RiverModel) and not harness.model.is_saved:
        line += " Snapshots cannot hold it: each start of a worker learns it from the log."
    return line


def _measured(harness: ModelHarness) -> tuple[float, float]:
    """Seconds per interaction learned, and per list of candidates."""
    observations = [harness.observe(event) for event in stream()]
    start = perf_counter()
    for observation in observations:
        harness.model.learn(observation)
    learned = (perf_counter() - start) / len(observations)
    harness.learn()
    harness.lists()
    start = perf_counter()
    n_lists = sum(len(harness.lists(100)) for _ in range(10))
    return learned, (perf_counter() - start) / n_lists
