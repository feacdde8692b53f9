"""The generated shop with words and pictures, and what is measured in it."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from stream_app.models.array_types import Scores
from stream_app.tools.bench import shop_files
from stream_app.tools.bench.drawn_pictures import SIDE
from stream_app.tools.bench.encoders import K, hits, tfidf_rank, vector_rank
from stream_app.tools.bench.worded_shop import ColdChoice, WordedShop
from stream_app.tools.feeds import jsonl
from stream_app.tools.feeds.rows import EventRow
from topics.events import CatalogItem, Click


def test_shops_with_the_same_seed_differ_in_words_alone() -> None:
    usual, drawn = (WordedShop(400, usual_names=share, seed=3) for share in (1.0, 0.0))
    assert [entry.title for entry in usual.entries] != [entry.title for entry in drawn.entries]
    assert [entry.categories for entry in usual.entries] == [entry.categories for entry in drawn.entries]
    assert usual.cold_choices(50) == drawn.cold_choices(50)
    assert list(usual.pictures())[:5] == list(drawn.pictures())[:5]


def test_chosen_items_are_in_no_context() -> None:
    choices = WordedShop(400, usual_names=1.0, seed=4).cold_choices(300)
    assert {choice.chosen for choice in choices} <= set(range(300, 400))
    assert {item for choice in choices for item in choice.context} <= set(range(300))


def test_pictures_show_the_color_of_the_style() -> None:
    shop = WordedShop(40, usual_names=1.0, seed=5)
    pictures = [Image.open(io.BytesIO(data)) for data in shop.pictures()]
    assert {picture.size for picture in pictures} == {(SIDE, SIDE)}
    assert len({picture.tobytes() for picture in pictures}) == 40


def test_what_choices_depend_on_predicts_them_best() -> None:
    shop = WordedShop(400, usual_names=0.5, seed=6)
    choices = shop.cold_choices(300)
    unknown = np.random.default_rng(6).normal(size=(400, 8)).astype(np.float32)
    ranks = (vector_rank(unknown), tfidf_rank(shop.entries), vector_rank(shop.true_vectors()))
    rates = [float(hits(rank, choices).mean()) for rank in ranks]
    assert rates[0] + 0.1 < rates[1]
    assert rates[1] + 0.1 < rates[2]


def test_equal_scores_have_a_random_rank() -> None:
    def rank(_: object) -> Scores:
        return np.zeros(101, np.float32)

    [rate] = hits(rank, [ColdChoice((0,), 7)])
    assert rate == K / 100


def test_the_files_of_a_shop_are_a_log_in_which_items_appear_before_they_are_clicked(tmp_path: Path) -> None:
    shop_files.main(tmp_path, items=120, sessions=40, users=9, usual_names=0.5, seed=2)
    catalog, clicks = (
        [
            row.event
            for row in jsonl.rows((tmp_path / name).read_bytes().splitlines(), name)
            if isinstance(row, EventRow)
        ]
        for name in ("catalog.jsonl", "clicks.jsonl")
    )
    created = {entry.item_id: entry.time for entry in catalog if isinstance(entry, CatalogItem)}
    chosen = [click for click in clicks if isinstance(click, Click)]
    assert len(created) == len(list((tmp_path / "pictures").iterdir())) == 120
    assert len({click.event_id for click in chosen}) == len(chosen) >= 80
    assert all(created[click.item_id] <= click.time for click in chosen)
    assert len(set(created.values())) > 20
