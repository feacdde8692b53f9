"""Generated shops as logs: a catalog in which items appear over time, and the clicks of sessions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from msgspec.structs import replace

from stream_app.models.array_types import Scores
from stream_app.tools.bench.encoders import vector_rank
from stream_app.tools.bench.shop_files import START_MS, appearance_times
from stream_app.tools.bench.worded_shop import WordedShop
from stream_app.tools.feeds.rows import EventRow
from topics.events import CatalogItem, Click

SESSION_SECONDS: Final = 60
"""From the start of a session to that of the next."""

_CLICK_MS: Final = 5_000


class ShopSession(NamedTuple):
    """The clicks of a session."""

    user: str
    items: list[int]  # item numbers, oldest first
    context: Mapping[str, str]  # of the events: the user's country, if the shop knows it


class Shop(Protocol):
    """A generated shop whose items have texts and pictures."""

    @property
    def name(self) -> str:
        """Name in the report."""

    @property
    def entries(self) -> Sequence[CatalogItem]:
        """The catalog, by item number."""

    def pictures(self) -> Iterator[bytes]:
        """A picture of each item, as a file."""

    def session(self, number: int, available: int) -> ShopSession:
        """Draw a session on the first `available` items; sessions are drawn in the order of their numbers."""

    def ideal_scores(self, context: Sequence[int]) -> Scores:
        """Scores of all items after those of a context, the newest first, to one who knows how the shop was made."""


class WordShop:
    """The shop of `WordedShop`, half of whose names are the usual ones, and whose users take turns."""

    name: Final = "words"

    def __init__(self, items: int, users: int, seed: int) -> None:
        self._shop = WordedShop(items, usual_names=0.5, seed=seed)
        self._users = users
        self.entries: Final = self._shop.entries
        self.ideal_scores: Final = vector_rank(self._shop.true_vectors())

    def pictures(self) -> Iterator[bytes]:
        """A drawn picture of each item; UserError if Pillow is not installed."""
        return self._shop.pictures()

    def session(self, number: int, available: int) -> ShopSession:
        """Draw a session of the user whose turn it is."""
        return ShopSession(f"user-{number % self._users}", self._shop.session(available), {})


def shop_rows(shop: Shop, entries: Sequence[CatalogItem], sessions: int, *, new: float) -> Iterator[EventRow]:
    """The rows of a log: one session per minute; items are described when they appear, and clicked from then on.

    Parameters
    ----------
    entries
        Those of the shop, with embeddings.
    new
        Share of the items, the last ones, that appear one by one over the sessions; the others are there at first.
    """
    times = appearance_times(len(entries), sessions, new=new)
    available = line = 0
    for number in range(sessions):
        started = START_MS + number * SESSION_SECONDS * 1_000
        while available < len(times) and times[available] <= started:
            entry = replace(entries[available], ts=times[available], created=times[available])
            yield EventRow(line := line + 1, entry)
            available += 1
        session = shop.session(number, available)
        for step, item in enumerate(session.items):
            click = Click(
                event_id=f"{number}-{step}",
                user_id=session.user,
                ts=started + step * _CLICK_MS,
                item_id=entries[item].item_id,
                context=dict(session.context),
            )
            yield EventRow(line := line + 1, click)
