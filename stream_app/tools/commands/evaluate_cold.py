"""``headrace evaluate cold``: from generated shops, or a log with embeddings, to a table and a report."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Final

import typer

from stream_app.errors import UserError
from stream_app.models.content import Content
from stream_app.models.item_content import ItemContent
from stream_app.models.model_set import ModelSet
from stream_app.models.popularity import Popularity
from stream_app.models.two_tower import TwoTower
from stream_app.ranking.assembly import FUSION, make_models
from stream_app.settings import Settings
from stream_app.tools.bench.encoders import vector_rank
from stream_app.tools.bench.shop_files import START_MS
from stream_app.tools.cli.evaluate import ColdOptions
from stream_app.tools.commands.evaluation_setup import (
    build_ranker,
    item_content,
    learning_settings,
    offline_ranking_config,
    read_files,
    read_log,
    settings_with_models,
    split_names,
)
from stream_app.tools.console import open_progress, print_table
from stream_app.tools.evaluation.cold_items.arms import (
    ALL_SCORED,
    BASELINE,
    FUSED,
    FUSED_NEURAL,
    PUBLISH_INTERVAL,
    WITHOUT_BONUS,
    Arm,
    by_scores,
    published,
    scored,
    single,
    two_tower_contents,
)
from stream_app.tools.evaluation.cold_items.book_shop import BookShop
from stream_app.tools.evaluation.cold_items.embedded_catalog import content_vectors, embed_shop
from stream_app.tools.evaluation.cold_items.evaluation import (
    ColdItemsEvaluation,
    ColdItemsResults,
    MeasuredChoices,
    summarize,
)
from stream_app.tools.evaluation.cold_items.shops import SESSION_SECONDS, Shop, WordShop, shop_rows
from stream_app.tools.evaluation.report import ColdReport, describe_run
from stream_app.tools.evaluation.tables import cold_table
from stream_app.tools.evaluation.training_along import train_along
from stream_app.tools.report_file import check_writable, write_report

SHOPS: Final[Mapping[str, Callable[[int, int, int], Shop]]] = {"words": WordShop, "books": BookShop}
"""Kinds of generated shops, by name."""

_UNTRAINED: Final = "text and pictures, untrained"
_IDEAL: Final = "bound: the shop is known"


def run(options: ColdOptions) -> None:
    """Evaluate the arms in each shop or in a log, write the report and print its table."""
    names, seeds = split_names(options.shops), _parse_seeds(options.seeds)
    if unknown := [name for name in names if name not in SHOPS]:
        raise UserError(f"--shops: there is no shop {unknown[0]!r}; there are {', '.join(SHOPS)}.")
    check_writable(options.report)
    settings = settings_with_models(None)
    started = perf_counter()
    if options.log_file is not None:
        results = {options.log_file.name: summarize([_measure_log(options.log_file, options)], BASELINE)}
    else:
        results = {
            name: summarize([_measure_shop(name, seed, options) for seed in seeds], BASELINE)
            for name in names
        }
    report = ColdReport(
        run=describe_run(
            [] if options.log_file is None else read_files(options.log_file, options.mapping),
            learning_settings(settings),
            make_models(offline_ranking_config(settings)),
        ),
        k=options.k,
        seeds=[] if options.log_file is not None else seeds,
        seconds=round(perf_counter() - started, 3),
        shops=results,
    )
    write_report(report, options.report)
    print_table(cold_table(report))
    typer.echo(f"\n{_format_choices(results)}. All results in {options.report}.")


def _format_choices(results: Mapping[str, ColdItemsResults]) -> str:
    return "; ".join(
        f"{name}: {each.cold_choices:,} choices of items without interactions, {each.other_choices:,} others"
        for name, each in results.items()
    )


def _parse_seeds(text: str) -> list[int]:
    try:
        return [int(each) for each in text.split(",")]
    except ValueError:
        raise UserError(f"--seeds: {text!r} has something else than numbers between commas.") from None


def _measure_shop(name: str, seed: int, options: ColdOptions) -> MeasuredChoices:
    """The measured choices of one generated shop."""
    shop = SHOPS[name](options.items, options.users, seed)
    n_first = options.items - round(options.new * options.items)
    entries = embed_shop(shop, n_first, open_progress=open_progress())
    settings = settings_with_models(None).model_copy(update={"seed": seed})
    arms = make_arms(settings, (len(entries[0].text_embedding), len(entries[0].image_embedding)), options.k)
    models = arms[BASELINE].models
    arms |= {
        _UNTRAINED: by_scores(models, entries, vector_rank(content_vectors(entries)), options.k),
        _IDEAL: by_scores(models, entries, shop.ideal_scores, options.k),
    }
    started = START_MS / 1_000 + options.measured_from * options.sessions * SESSION_SECONDS
    rows = list(shop_rows(shop, entries, options.sessions, new=options.new))
    return _evaluation(arms, started, settings, options).run(rows, len(rows))


def _measure_log(path: Path, options: ColdOptions) -> MeasuredChoices:
    """The measured choices of a log whose catalog has embeddings."""
    settings = settings_with_models(None)
    log = read_log(path, options.format_name, options.mapping, limit=None)
    lengths = {part.name: part.stop - part.start for part in item_content(log, settings).parts}
    arms = make_arms(settings, (lengths.get("text", 0), lengths.get("image", 0)), options.k)
    times = sorted(row.time for row in log if row.time is not None)
    started = times[int(options.measured_from * len(times))] if times else 0.0
    return _evaluation(arms, started, settings, options).run(log, log.total)


def _evaluation(
    arms: Mapping[str, Arm], started: float, settings: Settings, options: ColdOptions
) -> ColdItemsEvaluation:
    return ColdItemsEvaluation(
        arms if options.arms is None else _selected(arms, split_names(options.arms)),
        start=started,
        k=options.k,
        session_gap=settings.session_gap,
        buy_again=settings.buy_again,
        open_progress=open_progress(),
    )


def _selected(arms: Mapping[str, Arm], names: Sequence[str]) -> dict[str, Arm]:
    """The named arms, and the baseline."""
    if unknown := [name for name in names if name not in arms]:
        raise UserError(f"--arms: there is no arm {unknown[0]!r}; there are {', '.join(arms)}.")
    return {name: arm for name, arm in arms.items() if name == BASELINE or name in names}


def make_arms(settings: Settings, dimensions: tuple[int, int], k: int) -> dict[str, Arm]:
    """The compared lists.

    Parameters
    ----------
    dimensions
        Lengths of the catalog's embeddings of texts and of pictures; 0 for none.

    Raises
    ------
    UserError
        If `content`, the baseline, is not among the models, or JAX is not installed.
    """
    counting_models = [name for name in settings.models if name != TwoTower.name]
    settings = settings.model_copy(update={"models": counting_models, "neural": False})
    counting = build_ranker(settings, k)
    if not any(model.name == Content.name for model in counting.models.models):
        raise UserError("Lists are compared with the model content: add it to HEADRACE_MODELS.")
    arms = {
        BASELINE: single(counting.models, Content.name, k),
        ALL_SCORED: scored(counting.models, Content.name, k),
        **{
            model.name: single(counting.models, model.name, k)
            for model in counting.models.models
            if model.name == Popularity.name
        },
    }
    contents = two_tower_contents(dimensions)
    for name, content in contents.items():
        models = ModelSet([TwoTower.name], seed=settings.seed)
        train_along(models, content, settings, PUBLISH_INTERVAL)
        arms[name] = single(models, TwoTower.name, k)
    arms[FUSED] = published(counting)
    for name, parameters in {FUSED_NEURAL: {}, WITHOUT_BONUS: {"new_item_bonus": 0}}.items():
        fused = build_ranker(_with_two_tower(settings, parameters), k)
        train_along(fused.models, ItemContent(*dimensions), settings, PUBLISH_INTERVAL)
        arms[name] = published(fused)
    return arms


def _with_two_tower(settings: Settings, fusion_parameters: Mapping[str, int]) -> Settings:
    """The settings with the two-tower model, and other hyperparameters of the fusion."""
    parameters = settings.model_parameters
    fusion = {**parameters.get(FUSION, {}), **fusion_parameters}
    return settings.model_copy(
        update={"neural": True, "model_parameters": {**parameters, **({FUSION: fusion} if fusion else {})}}
    )
