"""The data of a shop that takes part in a federation: its interactions and its catalog."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

from rich.console import Console

from stream_app.errors import UserError
from stream_app.models.item_content import ItemContent
from stream_app.models.model_set import ModelSet
from stream_app.models.two_tower_network import HEAD_OF_KIND, Head
from stream_app.settings import Settings
from stream_app.tools.cli.federate import FederationClientOptions
from stream_app.tools.commands.evaluation_setup import item_content, read_log
from stream_app.tools.evaluation.log_evaluation import LogEvaluation
from stream_app.tools.evaluation.session_files import SessionClock, read_sessions
from stream_app.tools.progress import progress_bars
from stream_app.training.hit_rate import Choice
from stream_app.training.two_tower_training import TwoTowerTraining
from topics.events import CatalogItem, UserEvent
from topics.records import Interaction, Kind

SESSIONS_PER_DAY = 4_000.0


class ShopInteraction(NamedTuple):
    """One interaction with one item."""

    user: str
    item_id: str
    kind: Kind
    ts: float


class ShopData(NamedTuple):
    """What a shop learns from.

    Attributes
    ----------
    content
        Computes the contents of catalog entries.
    """

    interactions: list[ShopInteraction]
    entries: list[CatalogItem]
    content: ItemContent

    def split(self, share: float) -> tuple[Sequence[ShopInteraction], Sequence[ShopInteraction]]:
        """The interactions to learn, and the newest ones to measure on."""
        end = len(self.interactions) - round(share * len(self.interactions))
        return self.interactions[:end], self.interactions[end:]


class _Fold(LogEvaluation[None]):
    """Collects what a trainer would learn from a log."""

    def __init__(self, session_gap: float, total: int) -> None:
        # of the models, `learn` and `learn_catalog` are called alone
        super().__init__(
            cast("ModelSet", self),
            session_gap=session_gap,
            title="reading the log",
            open_progress=progress_bars(Console(stderr=True)),
        )
        self.total = total
        self.interactions: list[ShopInteraction] = []
        self.entries: list[CatalogItem] = []

    def learn(self, interaction: Interaction) -> None:
        for line in interaction.lines:
            self.interactions.append(
                ShopInteraction(interaction.user_id, line.item_id, interaction.kind, interaction.ts)
            )

    def learn_catalog(self, entry: CatalogItem) -> None:
        """Collect a catalog entry."""
        self.entries.append(entry)

    def on_accepted(self, event: UserEvent, row_before: object, row_after: object) -> None:
        """Nothing is measured here."""

    def results(self) -> None:
        """Nothing: the lists are read from the attributes."""


def read_shop(options: FederationClientOptions, settings: Settings) -> ShopData:
    """Read the session file or the event log of a shop.

    Raises
    ------
    UserError
        If neither or both are named, the file cannot be read, or it has too few interactions to learn from.
    """
    settings = settings.model_copy(
        update={
            "text_dimensions": options.text_dimensions or settings.text_dimensions,
            "image_dimensions": options.image_dimensions or settings.image_dimensions,
        }
    )
    if options.train is not None and options.events is None:
        path = options.train
        data = ShopData(list(_session_interactions(options)), [], item_content([], settings))
    elif options.events is not None and options.train is None:
        path = options.events
        log = read_log(path, options.format_name, options.mapping, limit=None)
        fold = _Fold(settings.session_gap, log.total)
        fold.run(log, log.total)
        data = ShopData(fold.interactions, fold.entries, item_content(log, settings))
    else:
        raise UserError("Name the shop's data, either as --train SESSIONS or as --events LOG.")
    if len(data.interactions) < 2:
        raise UserError(f"{path} has too few interactions to learn from; name another file.")
    return data


def _session_interactions(options: FederationClientOptions) -> Iterator[ShopInteraction]:
    assert options.train is not None  # noqa: S101  # for the type
    clock = SessionClock(SESSIONS_PER_DAY)
    for session in map(clock.timed_session, read_sessions(options.train)):
        for item_id, ts in zip(session.items, session.times, strict=True):
            yield ShopInteraction(session.user, item_id, Kind.VIEW, ts)


def learn(training: TwoTowerTraining, interactions: Sequence[ShopInteraction]) -> None:
    """Give interactions to a training, which replays them."""
    for each in interactions:
        training.add(each.user, each.item_id, each.kind, each.ts)


def choices(training: TwoTowerTraining, interactions: Sequence[ShopInteraction]) -> Iterator[Choice]:
    """The choices of interactions that were not learned, each after what its user did before; they are added then."""
    for each in interactions:
        head: Head | None = HEAD_OF_KIND.get(each.kind)
        before = training.recent(each.user)
        if head is not None and before[0]:
            yield Choice(*before, each.item_id, head)
        training.add(each.user, each.item_id, each.kind, each.ts)
