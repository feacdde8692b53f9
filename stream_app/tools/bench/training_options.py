"""``make bench-options``: what the options of the two-tower model's training bring, on a validation tail.

For each row models are trained alone, in one pass over the interactions before the tail, as a trainer takes steps.
The tail is ranked among all items; choices of rare items, and of users of rare segments, have columns of their own. A
last table says how well a classifier tells generated sessions from real ones.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import process_time
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from stream_app.encoders.optional_packages import import_package
from stream_app.errors import UserError
from stream_app.tools.bench.option_logs import (
    OptionLog,
    newest_sequences,
    read_event_log,
    read_session_log,
    tail_choices,
)
from stream_app.tools.console import print_table, run_script
from stream_app.tools.report_file import check_writable, write_report

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
SEGMENT_ARMS: Final[tuple[Options, ...]] = (
    {"generated": 0.1, "generated_for": "segments"},
    {"generated": 0.3, "generated_for": "segments"},
    {"generated": 0.3, "generated_for": "both"},
)
"""Further rows where users have segments."""

TEMPERATURES: Final = (0.7, 1.0, 1.5)

_K: Final = 20
_N_DISCRIMINATED: Final = 1_000


class PartResult(msgspec.Struct, frozen=True, kw_only=True):
    """The choices of one kind.

    Attributes
    ----------
    hit_rate, mrr
        At 20, mean over the seeds; an item without a vector is a miss.
    difference, half_interval
        Of the hit rate to that of the first row, choice by choice, and half of its 95 % interval.
    """

    choices: int
    hit_rate: float
    mrr: float
    difference: float
    half_interval: float


class ArmResult(msgspec.Struct, frozen=True, kw_only=True):
    """Models that were trained with some options.

    Attributes
    ----------
    parts
        By the choices: `all`, `rare items`, and with segments also `rare segments`.
    steps, seconds
        Of one training; CPU time.
    """

    options: dict[str, Any]
    parts: dict[str, PartResult]
    steps: int
    seconds: float


class Discrimination(msgspec.Struct, frozen=True, kw_only=True):
    """How well a classifier tells sessions from real ones: the area under its ROC curve, .5 is not at all."""

    sessions: str
    auc: float


class OptionsReport(msgspec.Struct, frozen=True, kw_only=True):
    """All rows."""

    file: str
    train_interactions: int
    seeds: list[int]
    segment_slots: int
    arms: list[ArmResult]
    discrimination: list[Discrimination]


class OptionsBench:
    """Trains models for each arm, and ranks the tail.

    Parameters
    ----------
    segment_slots
        Slots of the vectors of users' segments; 0 for none.

    Raises
    ------
    UserError
        If there is nothing to predict, or there are slots for segments that the log does not have.
    """

    def __init__(self, log: OptionLog, seeds: Sequence[int], segment_slots: int = 0) -> None:
        if segment_slots and not log.has_segments:
            raise UserError(
                f"{log.name} has no country and no channel of users; leave --segment-slots out, or name an event "
                "log by --sessions and --format."
            )
        self._log = log
        self._seeds = seeds
        self._segment_slots = segment_slots
        self._training: Any = import_package(
            "stream_app.training.two_tower_training", "neural", "This benchmark"
        )
        self._options: Any = import_package("stream_app.training.options", "neural", "This benchmark")
        self._hit_rate: Any = import_package("stream_app.training.hit_rate", "neural", "This benchmark")
        self._generation: Any = import_package("stream_app.training.generation", "neural", "This benchmark")
        choices = tail_choices(log, self._hit_rate.Choice)
        self._choices = [each.choice for each in choices]
        self._parts = {
            "all": np.ones(len(choices), np.bool_),
            "rare items": np.array([each.is_rare for each in choices], np.bool_),
        }
        if segment_slots:
            self._parts["rare segments"] = np.array([each.of_rare_segments for each in choices], np.bool_)
        self._hits_of_first: NDArray[np.float64] | None = None

    def check(self, arms: Sequence[Options]) -> None:
        """Raise `UserError` for options that do not exist, before anything is trained."""
        for options in arms:
            if options.get("generated_for", "items") != "items" and not self._segment_slots:
                raise UserError(
                    "generated_for segments needs segments: give --segment-slots 64, and an event log by --sessions "
                    "and --format."
                )
            self._configured(options, self._seeds[0])

    def _configured(self, options: Options, seed: int) -> Any:
        return self._options.configure(options, max_items=200_000, seed=seed, n_segments=self._segment_slots)

    def trained(self, options: Options, seed: int) -> Any:
        """A training that has learned the train part."""
        shape, config = self._configured(options, seed)
        training = self._training.TwoTowerTraining(shape, config)
        n_unlearned = 0
        for each in self._log.train:
            for line in each.lines:
                training.add(each.user_id, line.item_id, each.kind, each.ts, each.segments)
                n_unlearned += 1
            if n_unlearned >= config.new_interactions:
                n_unlearned = 0
                training.learn_new()
        if not training.n_predictions:
            raise UserError(
                f"{self._log.name} has no user with two interactions to learn from, or fewer than "
                f"{config.new_interactions} interactions; name a larger file."
            )
        return training

    def measured(self, options: Options) -> tuple[ArmResult, Any]:
        """Trainings with each seed on the tail's choices; also the first of them."""
        started = process_time()
        trainings = [self.trained(options, seed) for seed in self._seeds]
        seconds = (process_time() - started) / len(trainings)
        ranks = np.stack([self._hit_rate.ranks(each.weights(), self._choices) for each in trainings])
        hits = (ranks <= _K).mean(axis=0)
        if self._hits_of_first is None:
            self._hits_of_first = hits
        reciprocal = np.where(ranks <= _K, 1.0 / ranks, 0.0).mean(axis=0)
        differences = hits - self._hits_of_first
        parts = {}
        for name, chosen in self._parts.items():
            n = int(chosen.sum())
            if n:
                parts[name] = PartResult(
                    choices=n,
                    hit_rate=float(hits[chosen].mean()),
                    mrr=float(reciprocal[chosen].mean()),
                    difference=float(differences[chosen].mean()),
                    half_interval=float(1.96 * differences[chosen].std() / np.sqrt(n)),
                )
        first = trainings[0]
        return ArmResult(options=dict(options), parts=parts, steps=first.n_steps, seconds=seconds), first

    def discriminations(self, training: Any) -> list[Discrimination]:
        """Generated and random sessions of the training's items against its real ones, which start and end alike."""
        generation, rng = self._generation, np.random.default_rng(self._seeds[0])
        weights = training.weights()
        row_of = {item_id: row for row, item_id in enumerate(weights.item_ids)}
        sequences = newest_sequences(self._log.train, weights.shape.context_length, _N_DISCRIMINATED)
        real = [np.array([row_of[each] for each in items], np.int32) for items in sequences]
        starts, lengths = [int(each[0]) for each in real], [len(each) for each in real]
        model = generation.Model(weights, np.arange(len(weights.item_ids)))
        result = []
        for temperature in TEMPERATURES:
            generator = generation.Generator(rng, temperature=temperature)
            made = [each.items for each in generator.sessions(model, starts, lengths)]
            auc = generation.discriminate(weights, real, made, np.random.default_rng(self._seeds[0]))
            result.append(Discrimination(sessions=f"generated, temperature {temperature:g}", auc=auc))
        random = [rng.integers(len(weights.item_ids), size=n).astype(np.int32) for n in lengths]
        auc = generation.discriminate(weights, real, random, np.random.default_rng(self._seeds[0]))
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


def parse_seeds(text: str) -> list[int]:
    """Seeds between commas.

    Raises
    ------
    UserError
        If one is no whole number.

    Examples
    --------
    >>> parse_seeds("7,8")
    [7, 8]
    """
    try:
        return [int(each) for each in text.split(",")]
    except ValueError:
        raise UserError(f"--seeds has whole numbers between commas, such as 7,8,9, not {text!r}.") from None


def _tables(report: OptionsReport) -> list[Table]:
    counts = {name: part.choices for arm in report.arms for name, part in arm.parts.items()}
    headers = [f"{name} ({n:,}), HR@20 / MRR@20" for name, n in counts.items()]
    arms = Table("options", *headers, "steps", "CPU s")
    for number, arm in enumerate(report.arms):
        name = msgspec.json.encode(arm.options).decode() if arm.options else "default"
        cells = []
        for part in arm.parts.values():
            change = f"  {part.difference:+.4f} ±{part.half_interval:.4f}" if number else ""
            cells.append(f"{part.hit_rate:.4f} / {part.mrr:.4f}{change}")
        arms.add_row(name, *cells, f"{arm.steps:,}", f"{arm.seconds:.0f}")
    told = Table("sessions", "AUC of a classifier against real ones")
    for each in report.discrimination:
        told.add_row(each.sessions, f"{each.auc:.2f}")
    return [arms, told]


def main(
    sessions: Annotated[
        Path, typer.Option(help="A session file, oldest session first; with --format an event log.")
    ],
    options: Annotated[
        list[str] | None,
        typer.Option(help="A row of the table, as JSON, may be repeated; by default all of the document."),
    ] = None,
    log_format: Annotated[
        str | None,
        typer.Option("--format", help="Format of an event log, as for `headrace evaluate events`."),
    ] = None,
    share: Annotated[
        float, typer.Option(min=0.01, max=1, help="First part of an event log; the rest is not read.")
    ] = 1.0,
    train_limit: Annotated[
        int, typer.Option(min=1, help="Newest sessions, or interactions of an event log, to learn.")
    ] = 20_000,
    validation_tail: Annotated[
        int, typer.Option(min=1, help="Newest sessions, or interactions of an event log, to predict.")
    ] = 3_000,
    sessions_per_day: Annotated[float, typer.Option(min=1, help="Rate of the shop's time.")] = 4_000.0,
    segment_slots: Annotated[
        int, typer.Option(min=0, help="Slots of the vectors of users' segments, which event logs have.")
    ] = 0,
    seeds: Annotated[str, typer.Option(help="Seeds of the trainings; values are means over them.")] = "7",
    report: Annotated[Path, typer.Option(metavar="FILE.json", help="Results.")] = Path("build/options.json"),
) -> None:
    """Measure options of the two-tower model on a validation tail."""
    check_writable(report)
    arms = parse_arms(options) if options else [*ARMS, *(SEGMENT_ARMS if segment_slots else ())]
    seed_numbers = parse_seeds(seeds)
    log = (
        read_session_log(sessions, validation_tail, train_limit, sessions_per_day)
        if log_format is None
        else read_event_log(sessions, log_format, share, validation_tail, train_limit)
    )
    bench = OptionsBench(log, seed_numbers, segment_slots)
    bench.check(arms)
    results, discrimination = [], []
    for number, each in enumerate(arms):
        typer.echo(f"{number + 1} of {len(arms)}: {dict(each) or 'default'}", err=True)
        result, training = bench.measured(each)
        results.append(result)
        if not each:
            discrimination = bench.discriminations(training)
    found = OptionsReport(
        file=log.name,
        train_interactions=len(log.train),
        seeds=seed_numbers,
        segment_slots=segment_slots,
        arms=results,
        discrimination=discrimination,
    )
    for table in _tables(found):
        if table.row_count:
            print_table(table)
    write_report(found, report)
    typer.echo(f"report: {report}")


if __name__ == "__main__":
    # one core, as the trainer of a small machine
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    run_script(main, "python -m stream_app.tools.bench.training_options")
