"""From ids to observations and contexts, for a model that learns outside of a set of models."""

from collections.abc import Hashable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import numpy as np

from stream_app.models.array_types import Items
from stream_app.models.interaction_kinds import KIND_HEADS, KIND_STREAMS, KIND_WEIGHTS
from stream_app.models.item_index import ItemIndex
from stream_app.models.observation import Context, Observation
from stream_app.models.repeated_choices import ChoiceGroup
from stream_app.models.session_tracker import EventStream, SessionTracker
from topics.records import Kind

CONTEXT_LENGTH: Final = 20
"""Recent items of a user in a context."""

SECONDS_PER_EVENT: Final = 1.0
"""Time from the newest event to one that comes without a time."""

KEYS: Final = ("ts", "kind", "segments", "query")
"""What an entrance reads of a dictionary of features; other keys are ignored."""

Features = Mapping[Any, Any]


class IdEntrance:
    """Follows the sessions of users by the events that a model is given, as a set of models does.

    Ids are used by their text: ``7`` and ``"7"`` are one id.

    Parameters
    ----------
    index
        The items of the model.

    Examples
    --------
    >>> entrance = IdEntrance(ItemIndex(100))
    >>> entrance.observe("ann", "shoe", None, {"kind": "cart", "ts": 60.0, "segments": {"country": "FR"}})[0].weight
    3.0
    >>> entrance.context("ann", None).items.tolist()
    [0]
    """

    def __init__(self, index: ItemIndex) -> None:
        self.index = index
        self.tracker = SessionTracker(index)
        self._newest = 0.0
        index.subscribe(self.forget_items)

    def observe(
        self, user: Hashable, item: Hashable, y: float | None, x: Features | None
    ) -> tuple[Observation, float] | None:
        """Track an event and make its observation.

        Parameters
        ----------
        user, item
            Ids.
        y
            Weight of the choice, below 0 for a dislike; True for the weight of its kind, as None. With False or 0
            the item was shown and not chosen, from which no model learns: nothing happens.
        x
            May have the event time ``ts`` (seconds since the epoch or a datetime; by default a second after the
            newest), the ``kind`` (a `Kind` or its name; by default a view, or a dislike if `y` is below 0),
            ``segments`` (names as ``name:value``, or a dictionary) and the ``query`` that led to the item.

        Returns
        -------
        observation, choices_before
            Decayed number of choices of the item by the user before, see `RepeatedChoices.count`. None if nothing
            happened.

        Raises
        ------
        ValueError
            If the kind does not exist or carries no item, or the weight or the time is not finite.
        """
        x = x or {}
        kind = _kind(x.get("kind"), y)
        is_chosen = y is None or (isinstance(y, bool | np.bool_) and bool(y))
        weight = KIND_WEIGHTS[kind] if is_chosen else float(y or 0.0)
        if not np.isfinite(weight):
            raise ValueError(f"y must be finite, not {y!r}")
        if weight == 0:
            return None
        ts = self._time(x, self._newest + SECONDS_PER_EVENT)
        self._newest = max(self._newest, ts)
        user, name = str(user), str(item)
        query = str(x.get("query") or "")
        if query and query != self.tracker.query(user, ts):
            self.tracker.search(user, query, ts)
        number = self.index.index(name, ts)
        # a dislike belongs to no stream, whatever its kind is called
        stream = KIND_STREAMS.get(kind) if weight > 0 else None
        group = ChoiceGroup.FEEDBACK if stream is None else stream
        is_first = stream is EventStream.VIEWS and not self.tracker.n_views(user)
        if stream is None:
            tracked = self.tracker.track_session(user, ts)
        else:
            tracked = self.tracker.observe(user, number, ts, stream, KIND_HEADS[kind])
        novelty, choices_before = self.tracker.count_choice(user, number, ts, weight, group)
        self.index.update_first_seen(number, ts)
        query = query or self.tracker.query(user, ts)
        segments = _segments(x.get("segments"))
        return (
            Observation(user, number, ts, kind, weight, segments, *tracked, query, novelty, is_first),
            choices_before,
        )

    def context(self, user: Hashable, x: Features | None) -> Context:
        """Context of a user after the last event; without a user for None or an empty id."""
        x = x or {}
        name = "" if user is None else str(user)
        items, times, start, last, heads = self.tracker.history(name, CONTEXT_LENGTH)
        now = self._time(x, last if np.isfinite(last) else self._newest)
        if now > last + self.tracker.gap:
            start = len(items)
        query = str(x.get("query") or "") or self.tracker.query(name, now)
        session = self.tracker.current_session(name, now)
        return Context(name, items, times, start, _segments(x.get("segments")), now, session, query, heads)

    def forget_user(self, user: str) -> None:
        """Drop the events of a user."""
        self.tracker.forget_user(user)

    def forget_items(self, items: Items) -> None:
        """Drop items from the events of all users."""
        self.tracker.forget_items(items)

    @staticmethod
    def _time(x: Features, default: float) -> float:
        ts = x.get("ts")
        if ts is None:
            return default
        seconds = ts.timestamp() if isinstance(ts, datetime) else float(ts)
        if not np.isfinite(seconds):
            raise ValueError(f"ts must be finite, not {ts!r}")
        return seconds


def _kind(given: object, y: float | None) -> Kind:
    if given is None:
        return Kind.DISLIKE if y is not None and y < 0 else Kind.VIEW
    names = [kind.name.lower() for kind in KIND_WEIGHTS]
    try:
        kind = Kind[given.upper()] if isinstance(given, str) else Kind(given)  # type: ignore[arg-type]
    except (KeyError, ValueError):
        kind = Kind.ERASE
    if kind not in KIND_WEIGHTS:
        raise ValueError(f"kind must be one of {', '.join(names)}, not {given!r}")
    return kind


def _segments(given: Mapping[str, object] | Iterable[str] | None) -> tuple[str, ...]:
    if not given:
        return ()
    if isinstance(given, str):
        return (given,)
    if isinstance(given, Mapping):
        return tuple(f"{name}:{value}" for name, value in given.items())
    return tuple(map(str, given))
