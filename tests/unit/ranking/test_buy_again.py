"""Shops of consumables: what was bought may be listed again when it has had the time to be used up."""

import pytest

from state.dedup import Place
from state.fold import fold
from state.row import EMPTY_ROW, UserRow
from stream_app.models.model_set import ModelSet
from stream_app.ranking.ranker import Ranked, Ranker
from stream_app.ranking.row_request import request_of
from topics.events import Click, Feedback, FeedbackKind, OrderLine, Purchase, UserEvent
from topics.records import Source

DAY = 86_400.0
START = 1_700_000_000
WEEKS = 14 * DAY
"""The setting of these tests."""


class Shop:
    def __init__(self) -> None:
        self.models = ModelSet(["popularity", "repeats"], max_items=100, max_users=100)
        self.ranker = Ranker(self.models, per_source=20, length=10)
        self.rows: dict[str, UserRow] = {}
        self.events = 0

    def take(self, event: UserEvent, source: Source) -> None:
        row, _, interaction = fold(
            self.rows.get(event.user_id, EMPTY_ROW), event, Place(source, 0, self.events), 1800.0
        )
        self.rows[event.user_id] = row
        assert interaction is not None
        self.models.learn(interaction)
        self.events += 1

    def click(self, user: str, item: str, day: float) -> None:
        ts = int(1_000 * (START + day * DAY))
        self.take(Click(event_id=f"e{self.events}", user_id=user, ts=ts, item_id=item), Source.CLICK)

    def buy(self, user: str, item: str, day: float) -> None:
        name, ts = f"e{self.events}", int(1_000 * (START + day * DAY))
        lines = [OrderLine(item_id=item)]
        self.take(Purchase(event_id=name, user_id=user, ts=ts, order_id=name, items=lines), Source.PURCHASE)

    def ranked(self, user: str, buy_again: float) -> Ranked:
        return self.ranker.rank_user(request_of(user, self.rows[user], buy_again))

    def listed(self, user: str, buy_again: float) -> list[str]:
        return [item.id for item in self.ranked(user, buy_again).items]


@pytest.fixture
def shop() -> Shop:
    shop = Shop()
    for day in (0, 15, 30):
        for number in range(3):
            shop.buy(f"u{number}", "coffee", day)
    shop.click("ann", "tea", 30)
    shop.buy("ann", "coffee", 30)
    return shop


def test_a_bought_item_comes_back_after_the_set_time_and_not_before(shop: Shop) -> None:
    shop.click("ann", "tea", 43.9)
    assert "coffee" not in shop.listed("ann", WEEKS)
    shop.click("ann", "tea", 44.1)
    assert "coffee" in shop.listed("ann", WEEKS)


def test_without_the_setting_it_never_does(shop: Shop) -> None:
    shop.click("ann", "tea", 4_000)
    assert "coffee" not in shop.listed("ann", 0.0)
    assert "coffee" in shop.listed("ann", WEEKS)


def test_bought_again_it_stays_away_for_as_long_again(shop: Shop) -> None:
    shop.buy("ann", "coffee", 45)
    shop.click("ann", "tea", 50)
    assert "coffee" not in shop.listed("ann", WEEKS)
    shop.click("ann", "tea", 60)
    assert "coffee" in shop.listed("ann", WEEKS)


def test_what_was_hidden_stays_hidden(shop: Shop) -> None:
    event = Feedback(event_id="h", user_id="ann", ts=1_000 * START, item_id="coffee", kind=FeedbackKind.HIDE)
    shop.take(event, Source.FEEDBACK)
    shop.click("ann", "tea", 60)
    assert "coffee" not in shop.listed("ann", WEEKS)


def test_the_list_says_that_it_was_bought_before(shop: Shop) -> None:
    shop.click("ann", "tea", 45)
    for number in range(30):  # what is popular now would speak for coffee as loud
        shop.click(f"v{number}", f"other {number % 5}", 45)
    [coffee] = [item for item in shop.ranked("ann", WEEKS).items if item.id == "coffee"]
    assert coffee.why.source == "bought_before"
