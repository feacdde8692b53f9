"""The logs of ``make bench-options``: interactions to learn, and the ones after them, whose choices are ranked."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from stream_app.errors import UserError
from stream_app.models.model_set import ModelSet
from stream_app.models.two_tower_network import HEAD_OF_KIND
from stream_app.settings import load_settings
from stream_app.tools.commands.evaluation_setup import read_log
from stream_app.tools.console import open_progress
from stream_app.tools.evaluation.log_evaluation import LogEvaluation
from stream_app.tools.evaluation.session_files import SessionClock, read_sessions, validation_split
from topics.events import CatalogItem, UserEvent
from topics.records import Interaction

RARE_COUNT: Final = 5
"""Interactions that a rare item has in train at most, and one at least: without any it has no vector."""

_RARE_SEGMENTS: Final = 0.3
"""Share of the segments that are rare, as in `stream_app.training.generation`."""

_READ: Final = 20
"""Interactions before a choice that are read at most."""


class OptionLog(NamedTuple):
    """A part of a log to learn, and the part after it to predict; oldest first."""

    name: str
    train: Sequence[Interaction]
    tail: Sequence[Interaction]

    @property
    def has_segments(self) -> bool:
        """Whether users of the train part have a country or a channel."""
        return any(each.segments for each in self.train)


class TailChoice(NamedTuple):
    """A choice of the tail.

    Attributes
    ----------
    choice
        Of `stream_app.training.hit_rate.Choice`.
    is_rare, of_rare_segments
        Whether its item has few interactions in train, and whether its user is of segments with few.
    """

    choice: Any
    is_rare: bool
    of_rare_segments: bool


class _ReadInteractions(LogEvaluation[list[Interaction]]):
    """Folds a log as a worker does, and keeps what a trainer would learn."""

    def __init__(self, session_gap: float) -> None:
        # of the models, `learn_catalog` is called alone
        super().__init__(
            cast("ModelSet", self),
            session_gap=session_gap,
            title="reading the log",
            open_progress=open_progress(),
        )
        self._interactions: list[Interaction] = []

    def learn(self, interaction: Interaction) -> None:
        self._interactions.append(interaction)

    def learn_catalog(self, entry: CatalogItem) -> None:
        """Do nothing: the options are measured without contents."""

    def on_accepted(self, event: UserEvent, row_before: object, row_after: object) -> None:
        """Nothing is measured here."""

    def results(self) -> list[Interaction]:
        return self._interactions


def read_session_log(path: Path, tail: int, limit: int, sessions_per_day: float) -> OptionLog:
    """The newest sessions of a file; `tail` of them are predicted, `limit` before them learned."""
    split = validation_split(read_sessions(path), tail, limit)
    clock = SessionClock(sessions_per_day)

    def interactions(sessions: Iterable[list[str]]) -> list[Interaction]:
        return [each for session in sessions for each in clock.timed_session(session).interactions()]

    return OptionLog(path.name, interactions(split.train), interactions(split.test))


def read_event_log(path: Path, format_name: str, share: float, tail: int, limit: int) -> OptionLog:
    """The newest interactions of the first `share` of a log: `tail` to predict, and `limit` before them to learn.

    Raises
    ------
    UserError
        If nothing would be left to learn from.
    """
    log = read_log(path, format_name, None, limit=None)
    n_rows = round(log.total * share)
    found = _ReadInteractions(load_settings().session_gap).run(islice(log, n_rows), n_rows)
    known = [each for each in found if each.kind in HEAD_OF_KIND]
    end = len(known) - tail
    if end < 1:
        raise UserError(
            f"--validation-tail {tail} leaves nothing to learn from: {path} has {len(known)} views, carts and "
            "purchases; give a smaller one."
        )
    return OptionLog(path.name, known[max(0, end - limit) : end], known[end:])


def tail_choices(log: OptionLog, make_choice: Any) -> list[TailChoice]:
    """The choices of the tail: interactions of users who had others before, in train or in the tail.

    Parameters
    ----------
    make_choice
        `stream_app.training.hit_rate.Choice`, which needs the extra.

    Raises
    ------
    UserError
        If there is none: nothing could be predicted.
    """
    counts = Counter(line.item_id for each in log.train for line in each.lines)
    rare_segments = _rare_segments(log.train)
    found = []
    for is_tail, before, interaction, item_id in _with_history(log):
        if is_tail and before:
            ids, kinds, times = zip(*before, strict=True)
            head = int(HEAD_OF_KIND[interaction.kind])
            choice = make_choice(ids, kinds, times, item_id, head, interaction.segments)
            is_rare = 0 < counts[item_id] <= RARE_COUNT
            found.append(TailChoice(choice, is_rare, interaction.segments in rare_segments))
    if not found:
        raise UserError(
            f"{log.name} has no user with two interactions in its newest part, so that there is nothing to predict; "
            "name another file, or a larger --validation-tail."
        )
    return found


def _with_history(
    log: OptionLog,
) -> Iterator[tuple[bool, list[tuple[str, int, float]], Interaction, str]]:
    """Each item of the log, with what its user did before; whether it is of the tail."""
    histories: dict[str, deque[tuple[str, int, float]]] = defaultdict(lambda: deque(maxlen=_READ))
    for is_tail, part in ((False, log.train), (True, log.tail)):
        for each in part:
            history, head = histories[each.user_id], int(HEAD_OF_KIND[each.kind])
            for line in each.lines:
                yield is_tail, list(history) if is_tail else [], each, line.item_id
                history.append((line.item_id, head, each.ts))


def _rare_segments(train: Iterable[Interaction]) -> set[tuple[str, ...]]:
    """The segments with the fewest users; what counts are all segments of a user together."""
    counts = Counter(
        segments for segments in {each.user_id: each.segments for each in train}.values() if segments
    )
    rarest = sorted(counts, key=lambda segments: (counts[segments], segments))
    return set(rarest[: round(_RARE_SEGMENTS * len(rarest))])


def newest_sequences(train: Sequence[Interaction], length: int, n: int) -> list[list[str]]:
    """The items of the `n` users whose last interaction is newest and who have 2 to `length` of them."""
    of_user: dict[str, list[str]] = {}
    for each in train:
        items = of_user.pop(each.user_id, [])
        of_user[each.user_id] = items + [line.item_id for line in each.lines]
    fitting = (items for items in reversed(of_user.values()) if 2 <= len(items) <= length)
    return list(islice(fitting, n))
