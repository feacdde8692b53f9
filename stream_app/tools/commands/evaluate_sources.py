"""``headrace evaluate sources``: from a log or sessions to what each candidate source is worth."""

from collections.abc import Sequence
from itertools import islice
from time import perf_counter

import typer

from stream_app.errors import UserError
from stream_app.models.base import NO_ITEM
from stream_app.models.id_entrance import CONTEXT_LENGTH
from stream_app.models.model_set import ModelSet
from stream_app.ranking.assembly import fusion_parameters, make_models
from stream_app.settings import Settings
from stream_app.tools.cli.evaluate import SourcesOptions
from stream_app.tools.commands.evaluation_setup import (
    add_trainer,
    learning_settings,
    offline_ranking_config,
    read_files,
    read_log,
    settings_with_models,
)
from stream_app.tools.console import open_progress, print_table
from stream_app.tools.evaluation.report import SourcesReport, describe_run
from stream_app.tools.evaluation.session_files import (
    SessionClock,
    TimedSession,
    read_sessions,
    validation_split,
)
from stream_app.tools.evaluation.sources import EventSources, SourceArms, SourcesResults
from stream_app.tools.evaluation.tables import sources_table
from stream_app.tools.evaluation.training_along import UNUSED
from stream_app.tools.report_file import check_writable, write_report
from stream_app.worker.warm_up import warm_up


def run(options: SourcesOptions) -> None:
    """Evaluate, write the report and print its table."""
    settings = settings_with_models(options.models)
    check_writable(options.report)
    if (options.log_file is None) == (options.train is None):
        raise UserError("Give either a log with --events or sessions with --train.")
    warm_up(settings)
    config = offline_ranking_config(settings)
    models = make_models(config)
    models.learners = []
    arms = SourceArms(
        models,
        k=options.k,
        per_source=config.candidates_per_source,
        seed=settings.seed,
        **fusion_parameters(config.models),
    )
    started = perf_counter()
    results = (
        _evaluate_events(options, settings, models, arms)
        if options.train is None
        else _evaluate_sessions(options, settings, models, arms)
    )
    file = options.log_file or options.train
    assert file is not None  # noqa: S101  # one of the two
    report = SourcesReport(
        run=describe_run(read_files(file, options.mapping), learning_settings(settings), models),
        k=options.k,
        seconds=round(perf_counter() - started, 3),
        results=results,
    )
    write_report(report, options.report)
    print_table(sources_table(report))
    typer.echo(f"\nCPU time per list, learned interaction and proposal; all results in {options.report}.")


def _evaluate_events(
    options: SourcesOptions, settings: Settings, models: ModelSet, arms: SourceArms
) -> SourcesResults:
    assert options.log_file is not None  # noqa: S101  # checked before
    log = read_log(options.log_file, options.format_name, options.mapping, limit=None)
    trainer = add_trainer(models, settings, log)
    n_rows = round(log.total * options.share)
    evaluation = EventSources(
        models, arms, every=options.every, session_gap=settings.session_gap, open_progress=open_progress()
    )
    results = evaluation.run(islice(log, n_rows), n_rows)
    if trainer is not None and not trainer.n_published:
        typer.echo(UNUSED)
    return results


def _evaluate_sessions(
    options: SourcesOptions, settings: Settings, models: ModelSet, arms: SourceArms
) -> SourcesResults:
    assert options.train is not None  # noqa: S101  # checked before
    add_trainer(models, settings)
    split = validation_split(read_sessions(options.train), options.validation_tail, options.train_limit)
    clock = SessionClock(options.sessions_per_day)
    sessions = [*split.train, *split.test]
    with open_progress()("learning and ranking", len(sessions)) as update_progress:
        for done, session in enumerate(sessions, start=1):
            timed = clock.timed_session(session)
            if done > len(split.train):
                _measure(timed, models, arms)
            for interaction in timed.interactions():
                arms.learn(interaction)
            update_progress(done)
    return arms.results()


def _measure(session: TimedSession, models: ModelSet, arms: SourceArms) -> None:
    items: Sequence[str] = session.items
    for clicks in range(1, len(items)):
        start = max(0, clicks - CONTEXT_LENGTH)
        context = models.context(
            session.user, items[start:clicks], session.times[start:clicks], 0, (), session.times[clicks - 1]
        )
        chosen = models.index.find(items[clicks])
        arms.measure(
            context,
            frozenset() if chosen == NO_ITEM else frozenset({chosen}),
            session.user,
            models.index.available,
        )
