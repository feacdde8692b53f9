"""From a model's evidence to the reason that is published."""

from stream_app.models.base import Evidence
from stream_app.models.items import ItemIndex
from topics.records import Reason


def reason_of(evidence: Evidence, items: ItemIndex) -> Reason:
    """The reason in plain data, ids in place of indices."""
    item_id = items.id_of(evidence.item) if evidence.item >= 0 else None
    return Reason(evidence.source, item_id=item_id, segment=evidence.segment)
