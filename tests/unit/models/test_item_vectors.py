"""Item vectors on two worlds that never meet."""

import numpy as np

from stream_app.models.item_vectors import ItemVectors
from tests.support.session_builder import Visits


def worlds(sessions: int = 400, **parameters: object) -> Visits:
    visits = Visits("item_vectors", **parameters)
    rng = np.random.default_rng(3)
    for session in range(sessions):
        world = "abcdef" if session % 2 else "uvwxyz"
        visits.visit(session, "".join(rng.permutation(list(world))[:4]))
    return visits


def cosines(visits: Visits, clicks: str, items: str) -> np.ndarray:
    model = visits.model
    assert isinstance(model, ItemVectors)
    left, right = (
        np.array([visits.index.find(name) for name in names], np.int32) for names in (clicks, items)
    )
    return model.cosines(left, right) - 1.0


def test_items_of_one_world_lie_together_and_those_of_the_other_apart() -> None:
    visits = worlds()
    near, far = cosines(visits, "ab", "cdef"), cosines(visits, "ab", "uvwxyz")
    assert near.min() > far.max() + 0.3


def test_a_new_item_begins_where_it_was_first_met() -> None:
    visits = worlds()
    visits.visit(1_000, "uvq")
    assert cosines(visits, "uv", "q")[0] > 0.5 > cosines(visits, "ab", "q")[0]


def test_what_is_unknown_scores_nothing() -> None:
    visits = worlds(10)
    model = visits.model
    assert isinstance(model, ItemVectors)
    strange = np.array([-1, 10_000], np.int32)
    assert model.cosines(np.array([visits.index.find("a")], np.int32), strange).tolist() == [0.0, 0.0]
    assert model.cosines(strange, np.array([visits.index.find("a")], np.int32)).tolist() == [0.0]


def test_vectors_keep_length_one() -> None:
    model = worlds().model
    assert isinstance(model, ItemVectors)
    lengths = np.linalg.norm(model.vectors.items, axis=1)
    assert np.allclose(lengths[lengths > 0], 1.0, atol=1e-3)
    assert np.count_nonzero(lengths) == 12


def test_replays_learn_more_from_the_same_clicks() -> None:
    plain, replayed = worlds(40).model, worlds(40, replays=3).model
    assert isinstance(plain, ItemVectors)
    assert isinstance(replayed, ItemVectors)
    assert replayed.vectors.sums.sum() > plain.vectors.sums.sum()
