"""Shops of consumables: a purchased item may be listed again after some time."""

import pytest

from state.dedup import RecordId
from state.fold import fold
from state.row import EMPTY_ROW, UserRow
from stream_app.models.model_set import ModelSet
from stream_app.ranking.ranker import RankedList, Ranker
from stream_app.ranking.row_request import make_rank_request
from topics.events import Click, Feedback, FeedbackKind, OrderLine, Purchase, UserEvent
from topics.records import Source

DAY = 86_400.0
START = 1_700_000_000
WEEKS = 14 * DAY
"""The setting of these tests."""


class BuyAgainShop:
    def __init__(self) -> None:
        self.models = ModelSet(["popularity", "repeats"], max_items=100, max_users=100)
        self.ranker = Ranker(self.models, per_source=20, length=10)
        self.rows: dict[str, UserRow] = {}
        self.events = 0

    def handle(self, event: UserEvent, source: Source) -> None:
        row, _, interaction = fold(
            self.rows.get(event.user_id, EMPTY_ROW), event, RecordId(source, 0, self.events), 1800.0
        )
        self.rows[event.user_id] = row
        assert interaction is not None
        self.models.learn(interaction)
        self.events += 1

    def click(self, user: str, item: str, day: float) -> None:
        ts = int(1_000 * (START + day * DAY))
        self.handle(Click(event_id=f"e{self.events}", user_id=user, ts=ts, item_id=item), Source.CLICK)

    def buy(self, user: str, item: str, day: float) -> None:
        name, ts = f"e{self.events}", int(1_000 * (START + day * DAY))
        lines = [OrderLine(item_id=item)]
        self.handle(Purchase(event_id=name, user_id=user, ts=ts, order_id=name, items=lines), Source.PURCHASE)

    def ranked(self, user: str, buy_again: float) -> RankedList:
        return self.ranker.rank_user(make_rank_request(user, self.rows[user], buy_again))

    def recommended(self, user: str, buy_again: float) -> list[str]:
        return [item.id for item in self.ranked(user, buy_again).items]


@pytest.fixture
def shop() -> BuyAgainShop:
    shop = BuyAgainShop()
    for day in (0, 15, 30):
        for number in range(3):
            shop.buy(f"u{number}", "coffee", day)
    shop.click("ann", "tea", 30)
    shop.buy("ann", "coffee", 30)
    return shop


def test_purchased_item_is_listed_again_only_after_buy_again_seconds(shop: BuyAgainShop) -> None:
    shop.click("ann", "tea", 43.9)
    assert "coffee" not in shop.recommended("ann", WEEKS)
    shop.click("ann", "tea", 44.1)
    assert "coffee" in shop.recommended("ann", WEEKS)


def test_purchased_item_is_never_listed_again_when_buy_again_is_off(shop: BuyAgainShop) -> None:
    shop.click("ann", "tea", 4_000)
    assert "coffee" not in shop.recommended("ann", 0.0)
    assert "coffee" in shop.recommended("ann", WEEKS)


def test_second_purchase_restarts_the_buy_again_period(shop: BuyAgainShop) -> None:
    shop.buy("ann", "coffee", 45)
    shop.click("ann", "tea", 50)
    assert "coffee" not in shop.recommended("ann", WEEKS)
    shop.click("ann", "tea", 60)
    assert "coffee" in shop.recommended("ann", WEEKS)


def test_hidden_item_stays_excluded(shop: BuyAgainShop) -> None:
    event = Feedback(event_id="h", user_id="ann", ts=1_000 * START, item_id="coffee", kind=FeedbackKind.HIDE)
    shop.handle(event, Source.FEEDBACK)
    shop.click("ann", "tea", 60)
    assert "coffee" not in shop.recommended("ann", WEEKS)


def test_repurchased_item_has_reason_bought_before(shop: BuyAgainShop) -> None:
    shop.click("ann", "tea", 45)
    for number in range(30):  # current popularity alone would list coffee, too
        shop.click(f"v{number}", f"other {number % 5}", 45)
    [coffee] = [item for item in shop.ranked("ann", WEEKS).items if item.id == "coffee"]
    assert coffee.why.source == "bought_before"
