"""A shop is cut into shops with items of their own, and each session belongs to one of them."""

from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np

from stream_app.tools.bench.shop_cuts import cut_generated_shop, cut_sessions, item_groups


def test_items_that_are_clicked_together_are_in_one_group() -> None:
    rng = np.random.default_rng(1)
    kinds = rng.integers(12, size=1_200)
    sessions = [[f"{kind}-{item}" for item in rng.integers(6, size=4)] for kind in kinds]
    groups = item_groups(sessions, 4)
    for kind in range(12):
        assert len({groups[f"{kind}-{item}"] for item in range(6)}) == 1
    assert set(groups.values()) == {0, 1, 2, 3}


def test_a_group_is_not_much_larger_than_the_others_though_all_items_are_connected() -> None:
    rng = np.random.default_rng(1)
    sessions = [[str(item) for item in rng.integers(200, size=5)] for _ in range(1_000)]
    groups = item_groups(sessions, 5)
    clicks = Counter(groups[item] for item in chain.from_iterable(sessions))
    assert max(clicks.values()) < 2 * min(clicks.values())


def test_shops_share_no_item_and_no_test_session_is_learned(tmp_path: Path) -> None:
    path = tmp_path / "sessions.jsonl"
    path.write_text("".join(f"[{n % 2 * 10 + n % 3}, {n % 2 * 10 + n % 5}, 99]\n" for n in range(60)))
    shops = cut_sessions(path, 40, 20, 2)
    assert not shops[0].items & shops[1].items
    for shop in shops:
        for session in [*shop.train, *shop.test]:
            assert set(session.items) <= shop.items
            assert len(session.items) > 1
        assert max(each.times[-1] for each in shop.train) < min(each.times[0] for each in shop.test)


def test_the_generated_shop_is_cut_by_departments_and_has_new_items_in_test_alone() -> None:
    shops = cut_generated_shop(300, 100, 5, seed=7)
    assert len(shops) == 5
    for shop in shops:
        [department] = {entry.categories[0] for entry in shop.entries}
        assert department
        assert {entry.item_id for entry in shop.entries} == shop.items
    learned = {item for shop in shops for session in shop.train for item in session.items}
    tested = {item for shop in shops for session in shop.test for item in session.items}
    assert all(int(item.removeprefix("item-")) < 3_600 for item in learned)
    assert any(int(item.removeprefix("item-")) >= 3_600 for item in tested)


def test_equal_words_have_equal_vectors_in_all_shops() -> None:
    one, other = (cut_generated_shop(100, 20, 5, seed=7) for _ in range(2))
    assert one[0].entries[0].text_embedding == other[0].entries[0].text_embedding
