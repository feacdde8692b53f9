"""Item vectors on two clusters without common sessions."""

import numpy as np

from stream_app.models.item_vectors import ItemVectors
from tests.support.session_builder import SessionBuilder


def two_clusters(sessions: int = 400, **parameters: object) -> SessionBuilder:
    builder = SessionBuilder("item_vectors", **parameters)
    rng = np.random.default_rng(3)
    for session in range(sessions):
        cluster = "abcdef" if session % 2 else "uvwxyz"
        builder.add_session(session, "".join(rng.permutation(list(cluster))[:4]))
    return builder


def cosines(builder: SessionBuilder, clicks: str, items: str) -> np.ndarray:
    model = builder.model
    assert isinstance(model, ItemVectors)
    left, right = (
        np.array([builder.index.find(name) for name in names], np.int32) for names in (clicks, items)
    )
    return model.cosines(left, right) - 1.0


def test_items_of_one_cluster_are_similar_and_those_of_two_are_not() -> None:
    builder = two_clusters()
    near, far = cosines(builder, "ab", "cdef"), cosines(builder, "ab", "uvwxyz")
    assert near.min() > far.max() + 0.3


def test_a_new_item_starts_near_its_first_session() -> None:
    builder = two_clusters()
    builder.add_session(1_000, "uvq")
    assert cosines(builder, "uv", "q")[0] > 0.5 > cosines(builder, "ab", "q")[0]


def test_unknown_items_score_zero() -> None:
    builder = two_clusters(10)
    model = builder.model
    assert isinstance(model, ItemVectors)
    strange = np.array([-1, 10_000], np.int32)
    assert model.cosines(np.array([builder.index.find("a")], np.int32), strange).tolist() == [0.0, 0.0]
    assert model.cosines(strange, np.array([builder.index.find("a")], np.int32)).tolist() == [0.0]


def test_vectors_have_unit_length() -> None:
    model = two_clusters().model
    assert isinstance(model, ItemVectors)
    lengths = np.linalg.norm(model.vectors.items, axis=1)
    assert np.allclose(lengths[lengths > 0], 1.0, atol=1e-3)
    assert np.count_nonzero(lengths) == 12
