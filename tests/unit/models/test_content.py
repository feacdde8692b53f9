"""Similar catalog entries, compared with River's TF-IDF and by hand."""

import numpy as np
import pytest
from river import feature_extraction

from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, Context
from stream_app.models.content import Content, price_band
from stream_app.models.item_index import ItemIndex
from stream_app.models.terms import words
from tests.support.set_similarity import cosine
from topics.events import CatalogItem
from topics.records import Reason

CORPUS = (
    "Light red tent for two",
    "Red tent, red pegs, red ropes",
    "A warm sleeping bag",
    "Blue sleeping mat for the tent",
    "Sock",
)


class ContentHarness:
    def __init__(self, **parameters: float) -> None:
        self.index = ItemIndex(200)
        self.model = Content(self.index, **parameters)  # type: ignore[arg-type]

    def describe(self, name: str, title: str = "", **facts: object) -> None:
        item = self.index.index(name, 0.0)
        entry = CatalogItem(ts=0, item_id=name, title=title, **facts)  # type: ignore[arg-type]
        self.model.learn_catalog(item, entry)

    def context(self, *names: str, query: str = "") -> Context:
        items = np.array([self.index.find(name) for name in names], np.int32)
        return Context("me", items, np.zeros(len(items)), 0, (), 0.0, query=query)

    def candidates(self, *names: str, query: str = "", k: int = 50) -> dict[str, float]:
        candidates = self.model.candidates(self.context(*names, query=query), k)
        ids = [self.index.id_of(item) for item in candidates.items]
        return dict(zip(ids, candidates.scores.tolist(), strict=True))

    def reasons(self, *names: str, query: str = "") -> dict[str, Reason]:
        context = self.context(*names, query=query)
        candidates = self.model.candidates(context, 50)
        return {
            self.index.id_of(item): self.model.explain(context, item, evidence)
            for item, evidence in zip(candidates.items.tolist(), candidates.evidence.tolist(), strict=True)
        }


def make_harness(**parameters: float) -> ContentHarness:
    make_harness = ContentHarness(**parameters)
    for number, title in enumerate(CORPUS):
        make_harness.describe(f"i{number}", title)
    return make_harness


def river() -> feature_extraction.TFIDF:
    vectorizer = feature_extraction.TFIDF(preprocessor=str, tokenizer=lambda text: words(text, 100))
    for title in CORPUS:
        vectorizer.learn_one(title)
    return vectorizer


def test_vectors_equal_river_tfidf() -> None:
    ours, theirs = make_harness(), river()
    for number, title in enumerate(CORPUS):
        expected = {ours.model.slot(word): value for word, value in theirs.transform_one(title).items()}
        assert ours.model.vector(ours.index.find(f"i{number}")) == pytest.approx(expected, rel=1e-5)


def test_items_score_the_cosine_of_their_vectors() -> None:
    ours, theirs = make_harness(), river()
    vectors = [theirs.transform_one(title) for title in CORPUS]
    vocabulary = sorted(set().union(*vectors))
    rows = [[vector.get(word, 0.0) for word in vocabulary] for vector in vectors]
    expected = {f"i{number}": cosine(rows[0], rows[number]) for number in (1, 3)}
    assert ours.candidates("i0") == pytest.approx(expected, rel=1e-5)


def test_newer_context_items_weigh_more_and_the_most_similar_is_the_evidence() -> None:
    ours = make_harness(context_decay=0.5)
    assert ours.candidates("i2", "i0")["i1"] > ours.candidates("i0", "i2")["i1"]
    ours.describe("bag", "Warm sleeping bag")
    reasons = ours.reasons("i0", "i2")
    assert reasons["i1"] == Reason("similar_content", item_id="i0")
    assert reasons["bag"] == Reason("similar_content", item_id="i2")
    assert ours.reasons("i2", "i0")["i3"] == Reason("similar_content", item_id="i0")


def test_a_new_item_is_recommended_once_described() -> None:
    ours = make_harness()
    assert "new" not in ours.candidates("i2")
    ours.describe("new", "WARM sleeping Bag")
    assert next(iter(ours.candidates("i2"))) == "new"


def test_an_item_without_a_description_has_no_candidates() -> None:
    ours = make_harness()
    ours.index.index("bare", 0.0)
    ours.describe("empty")
    assert ours.candidates("bare") == ours.candidates("empty") == ours.candidates() == {}
    undescribed = np.array([ours.index.find("bare"), ours.index.find("empty")], np.int32)
    assert ours.model.score(ours.context("i0"), undescribed).tolist() == [0.0, 0.0]


def test_attributes_and_price_contribute_without_common_words() -> None:
    ours = ContentHarness()
    ours.describe("a", "Alpha", categories=["1", "12"], brand="Acme Inc.", price=20.0)
    ours.describe("same", "Beta", categories=["1", "12"], brand="ACME INC.", price=21.0)
    ours.describe("dear", "Gamma", categories=["1", "12"], brand="acme inc.", price=500.0)
    ours.describe("wide", "Delta", categories=["1"], price=500.0)
    ours.describe("tagged", "Epsilon", tags=["alpha"])
    scores = ours.candidates("a")
    assert scores["same"] > scores["dear"] > scores["wide"] > 0
    assert scores["tagged"] > 0


def test_similar_prices_share_a_band() -> None:
    assert price_band(20.0) == price_band(21.0)
    assert price_band(20.0) != price_band(40.0)


def test_a_new_description_replaces_the_old_one() -> None:
    ours, fresh = make_harness(), ContentHarness()
    ours.describe("i4", "Red rope")
    for number, title in enumerate((*CORPUS[:4], "Red rope")):
        fresh.describe(f"i{number}", title)
    assert ours.candidates(query="sock") == {}
    assert ours.candidates("i0") == pytest.approx(fresh.candidates("i0"))
    assert ours.model.vector(4) == pytest.approx(fresh.model.vector(4))


def test_forgotten_items_leave_the_document_frequencies() -> None:
    ours, fewer = make_harness(), ContentHarness()
    for number, title in enumerate(CORPUS[:4]):
        fewer.describe(f"i{number}", title)
    ours.index.forget("i4")
    ours.model.forget_items(np.array([4], np.int32))
    assert ours.model.vector(0) == pytest.approx(fewer.model.vector(0))
    assert ours.candidates(query="sock") == {}


def test_a_search_finds_items_without_clicks() -> None:
    ours = make_harness()
    assert list(ours.candidates(query="SLEEPING bags? bag!")) == ["i2", "i3"]
    assert ours.reasons(query="sock")["i4"] == Reason("matches_search", query="sock")
    assert ours.candidates(query="no such word") == {}
    assert ours.reasons("i0", query="sock")["i4"] == Reason("matches_search", query="sock")
    assert ours.reasons("i0", query="sock")["i1"] == Reason("similar_content", item_id="i0")


def test_only_the_strongest_terms_of_an_item_are_kept() -> None:
    ours = ContentHarness(terms=2)
    for number in range(20):
        ours.describe(f"n{number}", "the thing")
    ours.describe("last", "the thing zebra yak")
    kept = ours.model.vector(ours.index.find("last"))
    assert set(kept) == {ours.model.slot("zebra"), ours.model.slot("yak")}


def test_a_common_word_retrieves_its_newest_items() -> None:
    ours = ContentHarness(postings=3)
    for number in range(10):
        ours.describe(f"n{number}", "thing")
    assert set(ours.candidates("n0")) == {"n7", "n8", "n9"}
    # an item with a new entry keeps its position
    ours.describe("n8", "thing")
    assert set(ours.candidates("n0")) == {"n7", "n8", "n9"}
    # items outside the ring can be scored
    old = np.array([ours.index.find("n1")], np.int32)
    assert ours.model.score(ours.context("n0"), old)[0] == pytest.approx(1.0)


def test_only_the_first_words_of_a_long_text_are_indexed() -> None:
    ours = ContentHarness()
    ours.describe("a", description="word " * 5000 + "beyond")
    ours.describe("b", "beyond")
    assert ours.candidates("b") == {}


def test_slots_must_be_a_power_of_two() -> None:
    with pytest.raises(ValueError, match="power of 2"):
        Content(ItemIndex(1), slots=1000)


def test_words_are_caseless_in_any_script() -> None:
    assert words("Größe \uff21\uff22\uff23 ΣΊΣΥΦΟΣ", 10) == words("GRÖSSE abc σίσυφος", 10)
    assert words("e-mail, don't; under_score 3,5", 10) == [
        "e",
        "mail",
        "don",
        "t",
        "under",
        "score",
        "3",
        "5",
    ]
    assert words("one two three", 2) == ["one", "two"]
    assert words("x" * 100, 1) == ["x" * 40]
    assert words("", 5) == []


def test_an_empty_context_has_no_candidates() -> None:
    nothing = Context("", EMPTY_ITEMS, EMPTY_TIMES, 0, (), 0.0)
    assert len(make_harness().model.candidates(nothing, 5).items) == 0
