"""What one user's repetitions change on the lists of others."""

from collections.abc import Callable
from itertools import count

import numpy as np
import pytest

from stream_app.models.model_set import ModelSet
from stream_app.models.popularity import Popularity
from stream_app.models.repeated_choices import WIDTH, ChoiceGroup, RepeatedChoices
from stream_app.tools.model_checks.harness import same
from topics.records import Interaction, Kind, Line, Source

START = 1_700_000_000.0
NAMES = ("popularity", "trending", "item_to_item", "session_knn", "sequential_rules", "two_hop", "search")


class Shop:
    """A shop with 50 users, each with two sessions within a day."""

    def __init__(self, names: tuple[str, ...] = NAMES) -> None:
        self.models = ModelSet(names, max_items=1000, max_users=1000)
        self._offsets = count()
        rng = np.random.default_rng(1)
        for user in range(50):
            for _ in range(2):
                first, ts = int(rng.integers(30)), START + float(rng.integers(72_000))
                for step in range(int(rng.integers(2, 7))):
                    item = (first + int(rng.integers(6))) % 30
                    self.act(f"u{user}", f"i{item}", ts=ts + 60 * step, query="tent" if user % 2 else "")
        self.now = START + 72_000

    def act(
        self,
        user: str,
        *items: str,
        ts: float,
        kind: Kind = Kind.VIEW,
        query: str = "",
        quantity: float = 1.0,
    ) -> None:
        source = Source.PURCHASE if kind is Kind.PURCHASE else Source.CLICK
        lines = tuple(Line(item, quantity, 10.0) for item in items)
        segments = ("country:FR",)
        self.models.learn(Interaction(source, 0, next(self._offsets), ts, user, kind, lines, segments, query))

    def ranks(self, item: str) -> dict[str, int]:
        """Rank of an item with each model, for all users, a segment, an item's page, a query and another user."""
        models, now = self.models, self.models.newest
        contexts = [
            models.context("", (), (), 0, (), now, "tent"),
            models.context("", (), (), 0, ("country:FR",), now),
            models.context("", ("i1",), (now,), 0, (), now),
            models.context("u3", ("i1", "i4"), (now, now), 0, ("country:FR",), now),
        ]
        found = {}
        for number, context in enumerate(contexts):
            for model, proposed in models.candidates(context, 100):
                ranked = models.index.ids_of(proposed.items.tolist())
                found[f"{model.name} {number}"] = ranked.index(item) if item in ranked else 100
        return found


def click(shop: Shop, ts: float, number: int) -> None:
    shop.act("ann", "bad", ts=ts + number, query="tent")


def click_in_sessions(shop: Shop, ts: float, number: int) -> None:
    """Sessions of a popular item and the bad one, while the other users go on."""
    shop.act(f"u{number % 50}", f"i{number % 30}", f"i{(number + 1) % 30}", ts=ts + 2000.0 * number)
    shop.act("ann", "i1", ts=ts + 2000.0 * number)
    shop.act("ann", "bad", ts=ts + 2000.0 * number + 10.0)


def alternate(shop: Shop, ts: float, number: int) -> None:
    shop.act("ann", ("i1", "bad")[number % 2], ts=ts + number)


def cart(shop: Shop, ts: float, number: int) -> None:
    shop.act("ann", "bad", ts=ts + number, kind=Kind.CART)


def buy(shop: Shop, ts: float, number: int) -> None:
    shop.act("ann", "bad", ts=ts + number, kind=Kind.PURCHASE)


def buy_many_lines(shop: Shop, ts: float, number: int) -> None:
    shop.act("ann", *["bad"] * 20, ts=ts + number, kind=Kind.PURCHASE)


def buy_large_quantities(shop: Shop, ts: float, number: int) -> None:
    shop.act("ann", "bad", ts=ts + number, kind=Kind.PURCHASE, quantity=1e6)


def cycle(shop: Shop, ts: float, number: int) -> None:
    if number % 4 == 0:
        shop.act("ann", "bad", *(f"junk{each}" for each in range(WIDTH + 5)), ts=ts + number)


@pytest.mark.parametrize(
    ("attack", "patient_one"),
    [
        (click, click),
        (click_in_sessions, click_in_sessions),
        (alternate, alternate),
        (cart, cart),
        (buy, buy),
        (buy_many_lines, buy),
        (buy_large_quantities, buy),
        (cycle, cycle),
    ],
)
def test_300_choices_of_one_user_rank_an_item_no_higher_than_a_few(
    attack: Callable[[Shop, float, int], None], patient_one: Callable[[Shop, float, int], None]
) -> None:
    poisoned, usual = Shop(), Shop()
    for number in range(300):
        attack(poisoned, poisoned.now, number)
        if attack is click_in_sessions and number < 298:
            ts = usual.now + 2000.0 * number
            usual.act(f"u{number % 50}", f"i{number % 30}", f"i{(number + 1) % 30}", ts=ts)
    for number in (298, 299) if attack is click_in_sessions else range(4):
        patient_one(usual, usual.now, number)
    usual_ranks = usual.ranks("bad")
    for name, rank in poisoned.ranks("bad").items():
        # what happened on the days before may count a little, too
        assert rank >= usual_ranks[name] - (2 if attack is click_in_sessions else 0), name


def test_popularity_counts_the_largest_weight_of_a_user_and_item() -> None:
    models = ModelSet(["popularity"])
    kinds = [Kind.VIEW, Kind.VIEW, Kind.CART, Kind.PURCHASE, Kind.VIEW, Kind.PURCHASE]
    for offset, kind in enumerate(kinds):
        models.learn(Interaction(Source.CLICK, 0, offset, START, "ann", kind, (Line("a"),)))
    for offset, user in enumerate(["bob", "cem", "dan", "eve", "fay"]):
        models.learn(Interaction(Source.CLICK, 1, offset, START, user, Kind.VIEW, (Line("b"),)))
    [model] = models.models
    assert isinstance(model, Popularity)
    (_, _, _, values), _ = model.statistics(START)  # and what users view first
    assert values[0] == pytest.approx(values[1])


def test_a_user_counts_again_after_half_lives() -> None:
    choices, ties = RepeatedChoices(half_life=100.0), np.arange(9, dtype=np.uint64)
    choices.reserve(1)
    novelty = [choices.count(0, 3, ts, 1.0, ChoiceGroup.VIEWS, ties)[0] for ts in (0.0, 100.0, 300.0)]
    assert novelty == [1.0, 0.5, 0.75]


def test_counts_do_not_depend_on_the_order_of_views_and_purchases() -> None:
    rng, ties = np.random.default_rng(1), np.arange(99, dtype=np.uint64)
    events = [
        (int(rng.integers(WIDTH)), 10.0 * number, (1.0, 5.0)[number % 2], number % 2) for number in range(200)
    ]
    results = []
    for order in (
        events,
        sorted(events, key=lambda event: event[3]),
        sorted(events, key=lambda event: -event[3]),
    ):
        choices = RepeatedChoices(half_life=300.0)
        choices.reserve(1)
        counted, numbers = np.zeros(WIDTH), {}
        for item, ts, weight, group in order:
            novelty, n_before = choices.count(0, item, ts, weight, group, ties)
            counted[item] += novelty * weight * 2.0 ** (ts / 300.0)
            numbers[item, ts] = n_before
        results.append((counted, numbers))
    for counted, numbers in results[1:]:
        assert counted == pytest.approx(results[0][0])
        assert numbers == pytest.approx(results[0][1], rel=1e-4)


def test_a_user_with_many_different_items_counts_for_each() -> None:
    choices, ties = (
        RepeatedChoices(half_life=1e9),
        np.random.default_rng(1).integers(2**63, size=500).astype(np.uint64),
    )
    choices.reserve(1)
    novelty = [choices.count(0, item, 1.0, 1.0, ChoiceGroup.VIEWS, ties)[0] for item in range(150)]
    assert np.mean(novelty) > 0.9
    again = [choices.count(0, item, 1.0, 1.0, ChoiceGroup.VIEWS, ties)[0] for item in range(150)]
    assert sum(again) == 0.0


def test_replicas_agree_in_any_order_of_the_partitions() -> None:
    rng = np.random.default_rng(2)
    events = [
        Interaction(
            Source.CLICK, user := int(rng.integers(4)), offset, START + 50.0 * offset, f"u{user}", Kind.VIEW,
            (Line(f"i{int(100 * rng.random() ** 3)}"),),
        )
        for offset in range(2_000)
    ]  # fmt: skip
    digests = set()
    for order in (
        events,
        sorted(events, key=lambda each: each.partition),
        sorted(events, key=lambda each: -each.partition),
    ):
        models = ModelSet(["popularity"])
        for each in order:
            models.learn(each)
        digests.add(models.digest())
    assert len(digests) == 1


def test_a_state_keeps_the_counts_and_one_of_an_earlier_version_has_none() -> None:
    shop, other = Shop(("popularity",)), ModelSet(["popularity"], max_items=1000, max_users=1000)
    other.restore(shop.models.state())
    assert same(other.state(), shop.models.state())
    state = shop.models.state()
    del state["tracker"]["choices"]
    state["tracker"]["format"] = 2
    other.restore(state)
    assert other.tracker.count_choice("u1", 0, START, 1.0, ChoiceGroup.VIEWS) == (1.0, 0.0)


def test_an_erased_user_and_a_forgotten_item_start_anew() -> None:
    models = ModelSet(["popularity"])
    models.learn(Interaction(Source.CLICK, 0, 0, START, "ann", Kind.VIEW, (Line("a"), Line("b"))))
    item = models.index.find("a")
    models.index.forget("b")
    assert models.index.index("c", START) != item
    assert models.tracker.count_choice("ann", models.index.find("c"), START, 1.0, ChoiceGroup.VIEWS)[0] == 1.0
    models.forget_user("ann")
    models.tracker.session("ann", START)
    assert models.tracker.count_choice("ann", item, START, 1.0, ChoiceGroup.VIEWS) == (1.0, 0.0)
