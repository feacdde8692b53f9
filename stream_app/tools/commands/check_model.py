"""Run the checks of `stream_app.tools.model_checks` on a model, and print their results."""

import warnings
from collections.abc import Sequence
from functools import partial
from time import perf_counter
from typing import Final

import typer
from rich.markup import escape
from rich.table import Table

from stream_app.errors import UserError
from stream_app.models.registry import MODELS, TRAINED_MODELS, check_parameters, source_of
from stream_app.models.river_model import RiverModel
from stream_app.settings import load_settings
from stream_app.tools.cli.check_model import CheckModelOptions
from stream_app.tools.console import print_table
from stream_app.tools.model_checks.harness import ModelHarness, stream
from stream_app.tools.model_checks.model_check import ModelCheck, ModelCheckResult, Outcome, run_checks
from stream_app.tools.model_checks.suite import CHECKS

_COLORS: Final = {Outcome.OK: "green", Outcome.NOT_APPLICABLE: "default", Outcome.FAIL: "red"}


def run(options: CheckModelOptions) -> None:
    """Print a table of checks; exit status 1 if one failed.

    Raises
    ------
    UserError
        If there is no such model or check, the model has no parameter of a name, or does not learn in a worker.
    """
    if options.name in TRAINED_MODELS:
        raise UserError(
            f"{options.name} learns nothing from interactions, a trainer publishes what it has learned: these checks "
            f"are for models that learn in the worker, {', '.join(MODELS)}, those of River and of packages."
        )
    overrides = load_settings().model_parameters.get(options.name, {})
    source_of(options.name)
    check_parameters({options.name: overrides})
    make_harness = partial(ModelHarness, options.name, overrides=overrides)
    make_harness()  # an invalid parameter of River is an error of the settings, not of each check
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the model's numerics: a check says what comes of them
        results = list(run_checks(make_harness, _selected(options.only)))
        costs = _costs(make_harness())
    print_table(_table(options.name, results))
    failed = sum(result.outcome is Outcome.FAIL for result in results)
    typer.echo(f"{len(results) - failed} of {len(results)} checks passed. {costs}")
    raise typer.Exit(int(failed > 0))


def _selected(names: str | None) -> Sequence[ModelCheck]:
    if names is None:
        return CHECKS
    by_name = {check.name: check for check in CHECKS}
    selected = [name.strip() for name in names.split(",")]
    for name in selected:
        if name not in by_name:
            raise UserError(f"--only: there is no check {name!r}; there are {', '.join(by_name)}.")
    return [by_name[name] for name in selected]


def _table(name: str, results: Sequence[ModelCheckResult]) -> Table:
    table = Table("check", "", "rule, or what the model does instead", "what to do", title=escape(name))
    for check, outcome, detail in results:
        is_failed = outcome is Outcome.FAIL
        table.add_row(
            check.name,
            f"[{_COLORS[outcome]}]{outcome}[/]",
            escape(detail or check.rule),
            escape(check.remedy) if is_failed else "",
        )
    return table


def _costs(harness: ModelHarness) -> str:
    """What learning and ranking cost here, in one line; empty for a model that raises an error."""
    try:
        learned, listed = _measured(harness)
    except Exception:  # noqa: BLE001  # a check has failed by it
        return ""
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
    harness.lists()
    start = perf_counter()
    n_lists = sum(len(harness.lists(100)) for _ in range(10))
    return learned, (perf_counter() - start) / n_lists
