"""What the commands of ``headrace evaluate`` find out about a log."""

import pytest

from stream_app.errors import UserError
from stream_app.models.model_set import ModelSet
from stream_app.settings import Settings
from stream_app.tools.commands.evaluation_setup import add_trainer, item_content
from stream_app.tools.feeds.rows import EventRow, IgnoredRow, Row, UnreadableRow
from topics.events import CatalogItem, Click
from topics.records import Kind

CLICK = Click(event_id="1", user_id="ann", ts=0, item_id="pan")
TEXT = CatalogItem(ts=0, item_id="pan", text_embedding=[1.0, 0.0, 0.0])
IMAGE = CatalogItem(ts=0, item_id="pot", image_embedding=[0.0, 1.0])


def rows(*events: CatalogItem | Click) -> list[Row]:
    others: list[Row] = [IgnoredRow(1, "impression"), UnreadableRow(2, b"?", "It is not JSON.")]
    return others + [EventRow(line, event) for line, event in enumerate(events, 3)]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((), {}),
        ((CLICK,), {}),
        ((CLICK, IMAGE), {"image": 2}),
        ((IMAGE, CLICK, TEXT), {"text": 3, "image": 2}),
        ((CatalogItem(ts=0, item_id="cup"), TEXT), {"text": 3}),
    ],
)
def test_a_log_tells_the_dimensions_of_its_embeddings(
    events: tuple[CatalogItem | Click, ...], expected: dict[str, int]
) -> None:
    parts = item_content(rows(*events), Settings()).parts
    assert {part.name: part.stop - part.start for part in parts if part.name in {"text", "image"}} == expected


def test_settings_go_before_the_log() -> None:
    content = item_content(rows(TEXT, IMAGE), Settings(text_dimensions=5))
    assert [(part.name, part.stop - part.start) for part in content.parts[:2]] == [("text", 5), ("image", 2)]


def test_the_length_that_most_entries_have_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    other = CatalogItem(ts=0, item_id="cup", image_embedding=[1.0, 0.0, 0.0])
    content = item_content(rows(other, IMAGE, IMAGE, TEXT), Settings())
    assert [(part.name, part.stop - part.start) for part in content.parts[:2]] == [("text", 3), ("image", 2)]
    told = capsys.readouterr().err
    assert "the image embeddings of 1 of the first 4 catalog entries, whose length is not 2." in told
    assert "text" not in told


def test_the_options_of_the_trainer_are_those_of_an_evaluation() -> None:
    pytest.importorskip("jax", reason="the two-tower model needs JAX: pip install 'headrace[neural]'")
    models = ModelSet(["popularity", "two_tower"])
    options: dict[str, object] = {"encoder": "gru", "young_steps": 1}
    settings = Settings(max_items=50, segment_slots=8, session_gap=300.0, neural_options=options)
    add_trainer(models, settings)
    [trainer] = [each for each in models.learners if each.name == "two_tower_trainer"]
    training = trainer.training  # type: ignore[attr-defined]
    assert (training.shape.encoder, training.shape.n_segments) == ("gru", 8)
    assert (training.config.young_steps, training.config.max_items) == (1, 50)
    for user, ts in (("ann", 0.0), ("bob", 400.0)):
        training.add(user, "pan", Kind.VIEW, ts)
    assert training.recent("ann")[0] == [], "its session is closed"
    with pytest.raises(UserError, match="HEADRACE_NEURAL_OPTIONS: encoder is not 'lstm'"):
        add_trainer(models, Settings(neural_options={"encoder": "lstm"}))


def test_without_a_two_tower_model_nothing_is_trained() -> None:
    models = ModelSet(["popularity"])
    add_trainer(models, Settings(neural_options={"encoder": "lstm"}))
    assert not models.learners
