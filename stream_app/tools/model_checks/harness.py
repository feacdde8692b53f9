"""One model with its own index and tracker, random events for it, and comparisons of its states."""

import gc
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from stream_app.models.base import (
    Candidates,
    Context,
    Items,
    Model,
    Observation,
    Times,
)
from stream_app.models.id_index import stable_hash
from stream_app.models.item_index import ItemIndex
from stream_app.models.registry import create
from stream_app.models.session_tracker import EventStream, SessionTracker
from topics.events import CatalogItem
from topics.records import Kind

KINDS = ((Kind.VIEW, 1.0), (Kind.CART, 3.0), (Kind.PURCHASE, 5.0), (Kind.DISLIKE, -1.0), (Kind.VIEW, 1.0))


class Event(NamedTuple):
    """An interaction by ids."""

    user: str
    item: str
    ts: float
    kind: Kind
    weight: float
    segments: tuple[str, ...]


def title_of(item: str) -> str:
    """Title of an item in the catalog, and the query before its interactions."""
    return f"{('red', 'green', 'blue')[stable_hash(item) % 3]} thing {item}"


class ModelHarness:
    """One model with its own item index and session tracker.

    Parameters
    ----------
    name
        Of the model.
    capacity
        Largest number of items.
    overrides
        Hyperparameters of the model, as of ``HEADRACE_MODEL_PARAMETERS``; `parameters` replace them.
    **parameters
        Hyperparameters; the model gets those that it has.
    """

    tolerance: ClassVar[float] = 0.0
    """Relative difference of scores that two computations may have."""

    def __init__(
        self,
        name: str,
        capacity: int = 500,
        overrides: Mapping[str, Any] | None = None,
        **parameters: Any,
    ) -> None:
        self.index = ItemIndex(capacity, self._forget)
        self.tracker = SessionTracker(self.index, max_users=parameters.get("max_users", 1000))
        kept = {key: value for key, value in (overrides or {}).items() if key not in parameters}
        self.model: Model = create([name], self.index, overrides={name: kept}, **parameters)[0]
        self.described: set[int] = set()

    def _forget(self, items: Items) -> None:
        self.described.difference_update(items.tolist())
        self.tracker.forget_items(items)
        self.model.forget_items(items)

    def observe(self, event: Event) -> Observation:
        """Turn an event into an observation that stays valid."""
        item = self.index.index(event.item, event.ts)
        if event.weight <= 0:
            tracked = self.tracker.track_session(event.user, event.ts)
        else:
            stream = EventStream.PURCHASES if event.kind is Kind.PURCHASE else EventStream.VIEWS
            tracked = self.tracker.observe(event.user, item, event.ts, stream)
        items, times = tracked.previous_items.copy(), tracked.previous_times.copy()
        tracked = tracked._replace(previous_items=items, previous_times=times)
        title = title_of(event.item)
        if item not in self.described:
            self.described.add(item)
            price = float(1 + stable_hash(event.item) % 100)
            entry = CatalogItem(ts=int(1000 * event.ts), item_id=event.item, title=title, price=price)
            self.model.learn_catalog(item, entry)
        self.model.learn_query(event.user, title, event.ts)
        return Observation(
            event.user, item, event.ts, event.kind, event.weight, event.segments, *tracked, title
        )

    def learn(self, *events: Event) -> "ModelHarness":
        """Learn events; returns the harness."""
        for event in events:
            self.model.learn(self.observe(event))
        return self

    def context(
        self, user: str, *names: str, segments: tuple[str, ...] = (), now: float = 50_000.0
    ) -> Context:
        """Context of a user after items, 30 seconds apart."""
        items = np.array([self.index.find(name) for name in names], np.int32)
        times: Times = now - 30.0 * np.arange(len(items), dtype=np.float64)[::-1]
        return Context(user, items, times, 0, segments, now, query=title_of(names[-1]) if names else "thing")

    def contexts(self) -> list[Context]:
        """Contexts of many shapes."""
        return [
            self.context("u1", "i1", "i2", "i3", "i1", segments=("country:FR",)),
            self.context("u2", "i5", segments=("country:DE", "channel:web")),
            self.context("", "i3"),
            self.context(""),
            self.context("", segments=("country:FR",)),
            self.context("nobody", "i7", "no such item", "i2"),
            self.context("u3", *(f"i{number}" for number in range(20)), segments=("no:such",)),
        ]

    def lists(self, k: int = 20) -> list[Candidates]:
        """Candidates of all contexts."""
        return [self.model.candidates(context, k) for context in self.contexts()]

    def named_lists(self) -> list[list[tuple[str, float]]]:
        """Candidates by id, with scores rounded so that the order of summation does not matter."""
        return [
            [
                (self.index.id_of(item), float(f"{score:.4g}"))
                for item, score in zip(candidates.items.tolist(), candidates.scores.tolist(), strict=True)
            ]
            for candidates in self.lists()
        ]


MakeHarness = Callable[..., ModelHarness]


def stream(length: int = 600, users: int = 25, items: int = 40, seed: int = 1) -> list[Event]:
    """Random events of a few hours, some of them late."""
    rng = np.random.default_rng(seed)
    events = []
    for number in range(length):
        late = rng.exponential(600.0) if rng.random() < 0.1 else 0.0
        kind, weight = KINDS[rng.integers(len(KINDS))]
        user = rng.integers(users)
        events.append(
            Event(
                user=f"u{user}",
                item=f"i{int(items * rng.random() ** 2)}",
                ts=float(round(20.0 * number - late + 10_000.0, 3)),
                kind=kind,
                weight=weight,
                segments=(f"country:{('FR', 'DE')[user % 2]}", f"channel:{('web', 'app')[number % 2]}"),
            )
        )
    return events


def view(user: str, item: str, ts: float) -> Event:
    """A view without segments."""
    return Event(user, item, ts, Kind.VIEW, 1.0, ())


def same(left: Any, right: Any) -> bool:
    """Whether two states are equal to the last bit."""
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right or (left != left and right != right))  # noqa: PLR0124  # nan is nan


def leaves(state: Any) -> Iterator[Any]:
    """Values of a state that are neither dictionaries nor lists."""
    if isinstance(state, Mapping):
        for key, value in state.items():
            if type(key) is not str:
                raise TypeError(f"a dictionary of the state has the key {key!r}, which is no text")
            yield from leaves(value)
    elif isinstance(state, list):
        for value in state:
            yield from leaves(value)
    else:
        yield state


def arrays_of(thing: Any) -> dict[int, int]:
    """Bytes of every numpy array that a model holds, by the id of its memory's owner; the index left out."""
    candidates: dict[int, int] = {}
    packages = {"stream_app", "river", type(thing).__module__.split(".")[0]}
    seen: set[int] = set()
    pending = [thing]
    while pending:
        each = pending.pop()
        if id(each) in seen or isinstance(each, type | ItemIndex) or callable(each):
            continue
        seen.add(id(each))
        if isinstance(each, np.ndarray):
            candidates[id(each)] = each.nbytes
        elif isinstance(each, str | bytes | int | float):
            continue
        elif isinstance(each, dict | list | tuple) or type(each).__module__.split(".")[0] in packages:
            pending += gc.get_referents(each)
    return candidates
