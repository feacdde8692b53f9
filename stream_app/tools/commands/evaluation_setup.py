"""Log, settings and ranker for the commands of ``headrace evaluate`` and ``headrace tune``."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from stream_app.errors import UserError
from stream_app.models.item_content import ItemContent
from stream_app.models.model_set import ModelSet
from stream_app.models.model_sources import find_source
from stream_app.models.registry import MODELS, TRAINED_MODELS, known_models
from stream_app.models.session_store_model import SessionStoreModel
from stream_app.models.two_tower import TwoTower
from stream_app.ranking.assembly import make_models, make_ranker
from stream_app.ranking.config import RankingConfig
from stream_app.ranking.ranker import Ranker
from stream_app.settings import Settings, load_settings
from stream_app.tools.evaluation.report import effective_fusion
from stream_app.tools.evaluation.training_along import TrainerAlong, train_along
from stream_app.tools.feeds.event_log import EventLog, LogRequest, open_log, parse_order
from stream_app.tools.feeds.formats import reader
from stream_app.tools.feeds.rows import EventRow, Row
from stream_app.tools.progress import row_counter
from stream_app.worker.warm_up import warm_up
from topics.events import CatalogItem

_ROWS_FOR_DIMENSIONS: Final = 100_000
_ENTRIES_FOR_DIMENSIONS: Final = 1_000
"""The first entries of a log tell the dimensions of its embeddings."""


def read_log(
    path: Path, format_name: str, mapping: Path | None, *, limit: int | None, order: str = "time"
) -> EventLog:
    """Open a log without shifting its times; its rows are counted on the terminal.

    Raises
    ------
    UserError
        If there is no such format or order, the mapping is wrong, or the file is not in its format.
    """
    request = LogRequest(
        path=path,
        read=reader(format_name, mapping, path),
        order=parse_order(order),
        limit=limit,
        keep_time=True,
    )
    with row_counter(Console(stderr=True), f"reading {request.path.name}") as progress:
        return open_log(request, now=0.0, max_age=0.0, progress=progress)


def read_files(path: Path, mapping: Path | None) -> list[Path]:
    """The files that a report names as read."""
    return [path] if mapping is None else [path, mapping]


def format_counts(total: int, counts: Mapping[str, int]) -> str:
    """Rows of a log by outcome, in one line.

    Examples
    --------
    >>> format_counts(1_200, {"accepted": 1_100, "ignored": 100})
    '1,200 rows: 1,100 accepted, 100 ignored'
    """
    return f"{total:,} rows: " + ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items())


def settings_with_models(models: str | None, *, neural: bool = False) -> Settings:
    """The settings, with the models of ``--models`` if given, and with the two-tower model if `neural`.

    ``--models`` goes before ``HEADRACE_MODELS`` and ``HEADRACE_NEURAL``.

    Raises
    ------
    UserError
        If a setting is wrong or a model does not exist.
    """
    if models is None:
        return load_settings(neural=True) if neural else load_settings()
    names = split_names(models)
    for name in names:
        if find_source(name, MODELS | TRAINED_MODELS) is None:
            raise UserError(f"--models: there is no model {name!r}; there are {', '.join(known_models())}.")
    return load_settings(models=names, neural=neural)


def add_trainer(models: ModelSet, settings: Settings, rows: Iterable[Row] = ()) -> TrainerAlong | None:
    """Let models train their two-tower model, if there is one, from the interactions that they learn.

    Parameters
    ----------
    rows
        The log, whose first catalog entries tell whether there are embeddings of texts and images.

    Returns
    -------
    TrainerAlong or None
        The trainer; None without such a model.

    Raises
    ------
    UserError
        If JAX is not installed, or an option of ``HEADRACE_NEURAL_OPTIONS`` is invalid.
    """
    if not any(isinstance(each, TwoTower) for each in models.models):
        return None
    return train_along(models, item_content(rows, settings), settings)


def item_content(rows: Iterable[Row], settings: Settings) -> ItemContent:
    """The contents that the two-tower model learns from, with text and images if the log has their embeddings.

    `HEADRACE_TEXT_DIMENSIONS` and `HEADRACE_IMAGE_DIMENSIONS` go before what most of the log's first entries have.
    Embeddings of another length are not used, which is said.

    Examples
    --------
    >>> entry = CatalogItem(ts=0, item_id="pan", text_embedding=[0.6, 0.8])
    >>> [part.name for part in item_content([EventRow(1, entry)], Settings()).parts]
    ['text', 'categories', 'brand', 'price']
    """
    head = islice(rows, _ROWS_FOR_DIMENSIONS)
    events = (row.event for row in head if isinstance(row, EventRow))
    entries = islice((event for event in events if isinstance(event, CatalogItem)), _ENTRIES_FOR_DIMENSIONS)
    texts, images = Counter[int](), Counter[int]()
    for entry in entries:
        texts[len(entry.text_embedding)] += 1
        images[len(entry.image_embedding)] += 1
    return ItemContent(
        _used_length("text", texts, settings.text_dimensions),
        image_dimensions=_used_length("image", images, settings.image_dimensions),
    )


def _used_length(part: str, entries: Counter[int], configured: int) -> int:
    """The length of embeddings that is used, given the number of entries by length; 0 for none."""
    found = Counter({length: n for length, n in entries.items() if length})
    used = configured or max(found, key=found.__getitem__, default=0)
    if unused := found.total() - found[used]:
        typer.echo(
            f"Not used: the {part} embeddings of {unused:,} of the first {entries.total():,} catalog entries, whose "
            f"length is not {used:,}.",
            err=True,
        )
    return used


def compared_models(settings: Settings, models: ModelSet, names: Sequence[str]) -> ModelSet:
    """Models that are measured alone beside `models`, with the same settings.

    Raises
    ------
    UserError
        If a model does not exist, or is one of `models`.
    """
    for name in names:
        if find_source(name, MODELS) is None:
            raise UserError(f"--compare: there is no model {name!r}; there are {', '.join(known_models())}.")
        if any(model.name == name for model in models.models):
            raise UserError(f"--compare: {name} is among the models; --each-model measures it alone.")
    config = offline_ranking_config(settings)
    return make_models(replace(config, fusion="rrf", models=replace(config.models, names=list(names))))


def offline_ranking_config(settings: Settings) -> RankingConfig:
    """The configuration of models and lists in the fused order, whatever the policies of the workers.

    A log has no rewards: a policy would stay at its prior, and explore without learning anything.

    Examples
    --------
    >>> offline_ranking_config(Settings(policies={"thompson": 1.0})).policies
    {'fixed': 1.0}
    """
    return replace(settings.ranking_config, policies={"fixed": 1.0}, policy_parameters={})


def split_names(text: str) -> list[str]:
    """Names between commas, but for commas in parentheses: those are arguments of a River object.

    Examples
    --------
    >>> split_names("popularity, river:reco.BiasedMF(4, seed=1)")
    ['popularity', 'river:reco.BiasedMF(4, seed=1)']
    """
    names, depth = [""], 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == "," and not depth:
            names.append("")
        else:
            names[-1] += character
    return [name.strip() for name in names]


def build_ranker(settings: Settings, length: int) -> Ranker:
    """A ranker as in a worker, untrained, in the fused order, with compiled kernels, for lists of `length` items."""
    warm_up(settings)  # compilation must not count as latency of a prediction
    config = offline_ranking_config(settings)
    models = make_models(config)
    if settings.fusion == "learned" and effective_fusion(models, settings.fusion) != "learned":
        store_model_names = ", ".join(
            name for name, model in MODELS.items() if issubclass(model, SessionStoreModel)
        )
        typer.echo(
            f"HEADRACE_FUSION is learned, which needs one of {store_model_names} among the models: "
            "lists are fused by reciprocal ranks (rrf) instead.",
            err=True,
        )
    return make_ranker(models, config, length)


def learning_settings(settings: Settings) -> dict[str, object]:
    """The settings that results depend on."""
    return settings.model_dump(
        include={
            "models",
            "model_parameters",
            "fusion",
            "switch_sources",
            "candidates_per_source",
            "max_items",
            "max_users",
            "half_life",
            "session_gap",
            "seed",
            "neural_options",
            "diversity",
            "max_per_category",
            "max_per_brand",
            "max_per_seller",
            "exposure_floor",
            "buy_again",
        }
    )
