"""Prequential evaluation: whether the next item that a user chose was on their list.

Test, then learn: an interaction is evaluated on the list published before it (Dawid 1984; Gama et al. 2013).
"""

from collections.abc import Iterable
from typing import Final

from state.list_store import PublishedListStore
from stream_app.metrics import Metrics
from stream_app.publishing.drift_watch import DriftWatch
from topics.records import Interaction, Kind


class PrequentialEvaluator:
    """Evaluates published lists on the interactions that follow them.

    Parameters
    ----------
    drift
        Watches the hits, and the prices of purchases; None watches nothing.

    Examples
    --------
    >>> from state.published_list import PublishedList
    >>> lists = PrequentialEvaluator(Metrics(), PublishedListStore())
    >>> lists.list_store.add("u", 0, PublishedList("l", "fixed", 100.0, ("a", "b")))
    >>> lists.evaluate_interaction("u", "b", 101.0)
    2
    """

    def __init__(
        self, metrics: Metrics, list_store: PublishedListStore, drift: DriftWatch | None = None
    ) -> None:
        self._metrics = metrics
        self._drift = drift
        self.list_store: Final = list_store
        self._listed_items: set[str] = set()

    def on_published(self, items: Iterable[str]) -> None:
        """Record the items of lists that Redis acknowledged."""
        self._listed_items.update(items)

    def measure(self, interaction: Interaction, ts: float) -> None:
        """Evaluate the lines of a choice, and watch their prices if it is a purchase; `ts` as below."""
        for line in interaction.lines:
            self.evaluate_interaction(interaction.user_id, line.item_id, ts)
        if self._drift is not None and interaction.kind is Kind.PURCHASE:
            self._drift.on_purchase(interaction.lines, ts)

    def evaluate_interaction(self, user_id: str, item_id: str, ts: float) -> int:
        """Evaluate an interaction on the list last published to the user before it.

        Parameters
        ----------
        ts
            The broker's time of the event, seconds since the epoch.

        Returns
        -------
        int
            The rank of the item on the list, from 1; 0 if it was not on the list, or if there was no list.
        """
        listed = self.list_store.last_before(user_id, ts)
        if listed is None:
            return 0
        self._metrics.prequential_events.inc()
        rank = listed.rank(item_id) + 1
        if self._drift is not None:
            self._drift.on_choice(rank > 0, ts)
        if rank:
            self._metrics.prequential_hits.inc()
            self._metrics.prequential_reciprocal_rank.inc(1.0 / rank)
        return rank

    def report_catalog_coverage(self, n_known_items: int) -> None:
        """Set the gauge of catalog coverage: the share of the known items that were on a published list."""
        if len(self._listed_items) > n_known_items:
            # Listed items were evicted from the models since: start again with the current ones.
            self._listed_items.clear()
        self._metrics.catalog_coverage.set(len(self._listed_items) / n_known_items if n_known_items else 0.0)

    def report_retained_lists(self) -> None:
        """Set the gauge of the lists in memory."""
        self._metrics.retained_lists.set(len(self.list_store))
