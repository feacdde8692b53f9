"""The lists and events of one user, for tests of attribution."""

from typing import Any

from state.attribution import (
    Attribution,
    AttributionRules,
    Unattributed,
    attribute,
)
from state.dedup import RecordId
from state.list_store import PublishedListStore
from state.published_list import PublishedList
from topics.events import (
    Click,
    Feedback,
    FeedbackKind,
    Impression,
    OrderLine,
    Purchase,
    UserEvent,
)
from topics.records import Source

RULES = AttributionRules()
T = 1_700_000_000.0
"""Publication time of the first list."""

HOUR = 3600.0
OLD = 1_500_000_000_000
"""Event times are of another year, as in a replayed log: attribution uses the broker's timestamps."""


class AttributionCase:
    """The lists and events of one user; times are seconds after the first list."""

    def __init__(self, rules: AttributionRules = RULES) -> None:
        self.list_store = PublishedListStore()
        self._rules = rules
        self._offset = 0

    def listed(self, list_id: str, *items: str, after: float = 0.0, **fields: Any) -> PublishedList:
        published = PublishedList(list_id, fields.pop("policy", "thompson"), T + after, items, **fields)
        self.list_store.add("ann", 0, published)
        return published

    def handle(self, event: UserEvent, after: float, source: Source = Source.CLICK) -> Attribution:
        self._offset += 1
        return attribute(self.list_store, event, RecordId(source, 3, self._offset), T + after, self._rules)

    def clicks(self, item: str, after: float = 10.0, **fields: Any) -> Attribution:
        return self.handle(Click(event_id="e", user_id="ann", ts=OLD, item_id=item, **fields), after)

    def buys(self, *items: str, after: float = 10.0, **fields: Any) -> Attribution:
        lines = [OrderLine(item_id=item, price=25.0, quantity=2) for item in items]
        event = Purchase(event_id="e", user_id="ann", ts=OLD, order_id="o", items=lines, **fields)
        return self.handle(event, after, Source.PURCHASE)

    def gives_feedback(self, kind: FeedbackKind, item: str, after: float = 10.0) -> Attribution:
        event = Feedback(event_id="e", user_id="ann", ts=OLD, item_id=item, kind=kind)
        return self.handle(event, after, Source.FEEDBACK)

    def sees(self, *items: str, after: float = 5.0, list_id: str | None = None) -> Attribution:
        event = Impression(
            event_id="e", user_id="ann", ts=OLD, list_id=list_id, surface="home", items=list(items)
        )
        return self.handle(event, after, Source.IMPRESSION)


def lists(found: Attribution) -> list[tuple[str, str, int]]:
    """List, kind and rank of each reward; fails if a line is unattributed."""
    assert found.unattributed == ()
    return [(each.list_id, str(each.kind), each.position) for each in found.rewards]


def unattributed_reasons(found: Attribution) -> list[Unattributed]:
    """The reasons of an event without a reward."""
    assert found.rewards == ()
    return list(found.unattributed)
