"""The dense vector of a catalog entry."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.models.array_types import Matrix
from stream_app.models.item_content import N_PRICE_BANDS, ItemContent
from topics.events import CatalogItem


class LengthEncoder:
    """Encodes a text by its length."""

    name = "length"
    dimensions = 3

    def __init__(self, fingerprint: str = "length-1") -> None:
        self.fingerprint = fingerprint

    def encode(self, texts: Sequence[str]) -> Matrix:
        vectors = np.zeros((len(texts), 3), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            if text:
                row[len(text) % 3] = 1.0
        return vectors


def entry(**facts: Any) -> CatalogItem:
    return CatalogItem(ts=0, item_id="a", **facts)


def part(content: ItemContent, name: str, described: CatalogItem) -> Matrix:
    [(_, start, stop)] = [each for each in content.parts if each.name == name]
    return content.vector(described)[start:stop]


CONTENT = ItemContent(LengthEncoder(), image_dimensions=2)
FULL = entry(
    title="Tent", categories=["outdoor", "tents"], brand="acme", price=80.0, image_embedding=[3.0, 4.0]
)


def test_equal_entries_have_equal_vectors_in_any_batch_and_instance() -> None:
    again = ItemContent(LengthEncoder(), image_dimensions=2)
    batch = again.vectors([entry(), FULL, entry(title="x")])
    assert batch.dtype == np.float32
    assert batch.shape == (3, CONTENT.dimensions)
    np.testing.assert_array_equal(batch[1], CONTENT.vector(FULL))
    assert again.fingerprint == CONTENT.fingerprint


def test_each_part_that_an_entry_has_is_of_length_one() -> None:
    for name, *_ in CONTENT.parts:
        assert np.linalg.norm(part(CONTENT, name, FULL)) == pytest.approx(1.0, abs=1e-6)


def test_missing_parts_are_zeros() -> None:
    assert not CONTENT.vector(entry()).any()
    priced = CONTENT.vector(entry(price=3.0))
    assert np.count_nonzero(priced) == np.count_nonzero(part(CONTENT, "price", entry(price=3.0)))


@pytest.mark.parametrize(
    "embedding", [[1.0], [1.0, 2.0, 3.0], [0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0]]
)
def test_an_embedding_that_does_not_fit_counts_as_missing(embedding: list[float]) -> None:
    assert not part(CONTENT, "image", entry(image_embedding=embedding)).any()


def test_the_text_embedding_of_the_entry_is_used_without_an_encoder() -> None:
    content = ItemContent(2)
    np.testing.assert_allclose(part(content, "text", entry(text_embedding=[0.0, 5.0])), [0.0, 1.0])
    assert not part(content, "text", entry(title="Tent")).any()
    # with an encoder it is not: vectors of two encoders are not comparable
    assert not part(CONTENT, "text", entry(text_embedding=[1.0, 0.0, 0.0])).any()


def test_near_prices_are_nearer_than_distant_ones() -> None:
    def similarity(one: float, other: float) -> float:
        return float(part(CONTENT, "price", entry(price=one)) @ part(CONTENT, "price", entry(price=other)))

    assert similarity(100, 101) > similarity(100, 115) > similarity(100, 150) >= similarity(100, 1_000) == 0.0
    assert similarity(1e9, 1e15) == pytest.approx(1.0)  # both beyond the last band


def test_categories_and_brands_ignore_case_and_order() -> None:
    one = CONTENT.vector(entry(categories=["a", "b", "b"], brand="Acme"))
    other = CONTENT.vector(entry(categories=["B", "A"], brand="ACME"))
    np.testing.assert_allclose(one, other)


def test_shared_categories_make_entries_similar() -> None:
    content = ItemContent()
    one, related, other = content.vectors(
        [entry(categories=["x", "y"]), entry(categories=["x", "z"]), entry(categories=["v", "w"])]
    )
    assert one @ related > one @ other + 0.2


def test_the_fingerprint_tells_layouts_and_encoders_apart() -> None:
    contents = (
        ItemContent(),
        ItemContent(3),
        ItemContent(LengthEncoder()),
        ItemContent(LengthEncoder("length-2")),
        ItemContent(image_dimensions=3),
        ItemContent(brand_slots=32),
    )
    assert len({content.fingerprint for content in contents}) == len(contents)


def test_a_part_of_no_dimensions_is_absent() -> None:
    content = ItemContent(category_slots=0, brand_slots=0)
    assert [(each.name, each.stop - each.start) for each in content.parts] == [("price", N_PRICE_BANDS)]
    with pytest.raises(ValueError, match="brand"):
        ItemContent(brand_slots=1)


@given(
    st.floats(min_value=0, max_value=1e15) | st.none(),
    st.lists(st.floats(width=64), max_size=3),
    st.lists(st.text(min_size=1, max_size=4), max_size=20),
    st.text(min_size=1, max_size=4) | st.none(),
)
def test_vectors_are_finite_and_bounded(
    price: float | None, image: list[float], categories: list[str], brand: str | None
) -> None:
    vector = CONTENT.vector(entry(price=price, image_embedding=image, categories=categories, brand=brand))
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) <= np.sqrt(5) + 1e-5
    if brand is not None:
        assert part(CONTENT, "brand", entry(brand=brand)).any()
