"""``make bench-options``: what the options of the two-tower model's training bring, on a validation tail.

For each row a model is trained alone, in one pass over the sessions before the tail, as a trainer takes its steps.
The tail is ranked among all items. A last table says how well a classifier tells generated sessions from real ones.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import process_time
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import typer
from rich.table import Table

from stream_app.encoders.optional_packages import import_package
from stream_app.errors import UserError
from stream_app.models.two_tower_network import HEAD_OF_KIND, Head
from stream_app.tools.console import print_table, run_script
from stream_app.tools.evaluation.session_files import (
    SessionClock,
    TimedSession,
    read_sessions,
    validation_split,
)
from stream_app.tools.report_file import check_writable, write_report
from topics.records import Kind

Options = Mapping[str, object]

ARMS: Final[tuple[Options, ...]] = (
    {},
    {"encoder": "gru"},
    {"loss": "sigmoid"},
    {"in_batch": True},
    {"augmentations": ["crop", "mask", "reorder"]},
    {"augmentations": ["substitute"]},
    {"augmentations": ["crop", "mask"], "augmented": 0.0, "contrast": 0.1},
    {"generated": 0.1},
    {"generated": 0.3},
    {"young_steps": 1},
    {"young_steps": 3, "young": 10_000},
)
TEMPERATURES: Final = (0.7, 1.0, 1.5)

_K: Final = 20
_N_DISCRIMINATED: Final = 1_000
_CHOICES: Final = 20
"""Interactions before a choice that are read at most."""


class ArmResult(msgspec.Struct, frozen=True, kw_only=True):
    """A model that was trained with some options.

    Attributes
    ----------
    hit_rate, mrr
        At 20, of all choices of the tail; an item without a vector is a miss.
    seconds
        CPU time of the training.
    """

    options: dict[str, Any]
    hit_rate: float
    mrr: float
    steps: int
    seconds: float


class Discrimination(msgspec.Struct, frozen=True, kw_only=True):
    """How well a classifier tells sessions from real ones: the area under its ROC curve, .5 is not at all."""

    sessions: str
    auc: float


class OptionsReport(msgspec.Struct, frozen=True, kw_only=True):
    """All rows."""

    file: str
    train_sessions: int
    choices: int
    arms: list[ArmResult]
    discrimination: list[Discrimination]


class OptionsBench:
    """Trains a model for each arm, and ranks the tail.

    Parameters
    ----------
    train, tail
        Sessions, oldest first.
    """

    def __init__(self, train: Sequence[TimedSession], tail: Sequence[TimedSession], seed: int) -> None:
        self._train = train
        self._seed = seed
        self._training: Any = import_package(
            "stream_app.training.two_tower_training", "neural", "This benchmark"
        )
        self._options: Any = import_package("stream_app.training.options", "neural", "This benchmark")
        self._hit_rate: Any = import_package("stream_app.training.hit_rate", "neural", "This benchmark")
        self._generation: Any = import_package("stream_app.training.generation", "neural", "This benchmark")
        self.choices = [choice for session in tail for choice in self._choices(session)]

    def check(self, arms: Sequence[Options]) -> None:
        """Raise `UserError` for options that do not exist, before anything is trained."""
        for options in arms:
            self._configured(options)

    def _configured(self, options: Options) -> Any:
        return self._options.configure(options, max_items=200_000, seed=self._seed, n_segments=0)

    def _choices(self, session: TimedSession) -> list[Any]:
        interactions = list(session.interactions())
        items = [each.lines[0].item_id for each in interactions]
        times = [each.ts for each in interactions]
        view = int(HEAD_OF_KIND[Kind.VIEW])
        return [
            self._hit_rate.Choice(
                items[max(0, at - _CHOICES) : at],
                [view] * min(at, _CHOICES),
                times[max(0, at - _CHOICES) : at],
                items[at],
                int(Head.VIEW),
            )
            for at in range(1, len(items))
        ]

    def trained(self, options: Options) -> tuple[Any, float]:
        """A training that has learned the train sessions, and its CPU seconds."""
        shape, config = self._configured(options)
        training = self._training.TwoTowerTraining(shape, config)
        started, n_unlearned = process_time(), 0
        for session in self._train:
            for each in session.interactions():
                training.add(each.user_id, each.lines[0].item_id, each.kind, each.ts)
                n_unlearned += 1
                if n_unlearned >= config.new_interactions:
                    n_unlearned = 0
                    training.learn_new()
        return training, process_time() - started

    def measured(self, options: Options, training: Any, seconds: float) -> ArmResult:
        """The ranks of the tail's choices."""
        ranks = self._hit_rate.ranks(training.weights(), self.choices)
        is_hit = ranks <= _K
        return ArmResult(
            options=dict(options),
            hit_rate=float(is_hit.mean()),
            mrr=float(np.where(is_hit, 1.0 / ranks, 0.0).mean()),
            steps=training.n_steps,
            seconds=seconds,
        )

    def discriminations(self, training: Any) -> list[Discrimination]:
        """Generated and random sessions of the training's items against its real ones, which start and end alike."""
        generation, rng = self._generation, np.random.default_rng(self._seed)
        weights = training.weights()
        row_of = {item_id: row for row, item_id in enumerate(weights.item_ids)}
        real = []
        for session in reversed(self._train):
            rows = [row_of[each.lines[0].item_id] for each in session.interactions()]
            if 2 <= len(rows) <= weights.shape.context_length:
                real.append(np.array(rows, np.int32))
            if len(real) == _N_DISCRIMINATED:
                break
        starts, lengths = [int(each[0]) for each in real], [len(each) for each in real]
        model = generation.Model(weights, np.arange(len(weights.item_ids)))
        result = []
        for temperature in TEMPERATURES:
            generator = generation.Generator(rng, temperature=temperature)
            made = [each.items for each in generator.sessions(model, starts, lengths)]
            auc = generation.discriminate(weights, real, made, np.random.default_rng(self._seed))
            result.append(Discrimination(sessions=f"generated, temperature {temperature:g}", auc=auc))
        random = [rng.integers(len(weights.item_ids), size=n).astype(np.int32) for n in lengths]
        auc = generation.discriminate(weights, real, random, np.random.default_rng(self._seed))
        return [*result, Discrimination(sessions="random items", auc=auc)]


def parse_arms(texts: Sequence[str]) -> list[Options]:
    """Options as JSON objects.

    Raises
    ------
    UserError
        If one is none.

    Examples
    --------
    >>> parse_arms(['{"encoder": "gru"}'])
    [{'encoder': 'gru'}]
    """
    arms: list[Options] = []
    for text in texts:
        try:
            arms.append(msgspec.json.decode(text, type=dict[str, Any]))
        except msgspec.MsgspecError:
            raise UserError(
                f'--options is a JSON object such as \'{{"encoder": "gru"}}\', not {text!r}.'
            ) from None
    return arms


def _tables(report: OptionsReport) -> list[Table]:
    arms = Table("options", "HR@20", "MRR@20", "steps", "CPU s")
    for arm in report.arms:
        name = msgspec.json.encode(arm.options).decode() if arm.options else "default"
        arms.add_row(name, f"{arm.hit_rate:.4f}", f"{arm.mrr:.4f}", f"{arm.steps:,}", f"{arm.seconds:.0f}")
    told = Table("sessions", "AUC of a classifier against real ones")
    for each in report.discrimination:
        told.add_row(each.sessions, f"{each.auc:.2f}")
    return [arms, told]


def main(
    sessions: Annotated[Path, typer.Option(help="A session file, oldest session first.")],
    options: Annotated[
        list[str] | None,
        typer.Option(help="A row of the table, as JSON, may be repeated; by default all of the document."),
    ] = None,
    train_limit: Annotated[int, typer.Option(min=1, help="Newest sessions to learn.")] = 20_000,
    validation_tail: Annotated[int, typer.Option(min=1, help="Newest sessions, to be ranked.")] = 3_000,
    sessions_per_day: Annotated[float, typer.Option(min=1, help="Rate of the shop's time.")] = 4_000.0,
    seed: Annotated[int, typer.Option(help="Seed of the trainings.")] = 7,
    report: Annotated[Path, typer.Option(metavar="FILE.json", help="Results.")] = Path("build/options.json"),
) -> None:
    """Measure options of the two-tower model on a validation tail."""
    check_writable(report)
    arms = parse_arms(options) if options else list(ARMS)
    split = validation_split(read_sessions(sessions), validation_tail, train_limit)
    clock = SessionClock(sessions_per_day)
    train = [clock.timed_session(each) for each in split.train]
    bench = OptionsBench(train, [clock.timed_session(each) for each in split.test], seed)
    bench.check(arms)
    results, discrimination = [], []
    for number, each in enumerate(arms):
        typer.echo(f"{number + 1} of {len(arms)}: {dict(each) or 'default'}", err=True)
        training, seconds = bench.trained(each)
        results.append(bench.measured(each, training, seconds))
        if not each:
            discrimination = bench.discriminations(training)
    result = OptionsReport(
        file=sessions.name,
        train_sessions=len(train),
        choices=len(bench.choices),
        arms=results,
        discrimination=discrimination,
    )
    for table in _tables(result):
        if table.row_count:
            print_table(table)
    write_report(result, report)
    typer.echo(f"report: {report}")


if __name__ == "__main__":
    # one core, as the trainer of a small machine
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    run_script(main, "python -m stream_app.tools.bench.training_options")
