"""The agent of the shoppers' events.

One stream over all their topics, so that a shopper's click, search and purchase are taken in the order the
broker dated them. An event is decoded and checked, folded into the shopper's row, its interaction sent to the log
and folded into this worker's models, the list it reacts to rewarded, and the shopper marked dirty: all that without
waiting for anything.
"""

import logging
from collections.abc import AsyncIterable, Callable
from functools import partial
from typing import Any, Final, Protocol

import msgspec

from state.dedup import Place
from state.fold import Outcome, fold
from state.user_table import Rows
from stream_app.kafka.append import Append
from stream_app.kafka.batch_producer import DeliveryError
from stream_app.metrics import Metrics
from stream_app.publishing.flusher import Flusher
from stream_app.publishing.prequential import PublishedLists
from stream_app.worker.dead_letter_writer import DeadLetterWriter
from stream_app.worker.faust_transport import RawSchema
from stream_app.worker.replica import Replica
from stream_app.worker.reward_attributor import Rewards
from topics.catalog import INTERACTIONS, USER_EVENTS, TopicSpec
from topics.codec import Limits, RejectedError, RejectReason, decode
from topics.events import Click, Erasure, Impression, Purchase, Search, UserEvent
from topics.records import Interaction

_LOG: Final = logging.getLogger(__name__)
_encoder: Final = msgspec.msgpack.Encoder()

MAX_FORWARDED: Final = 1_000_000
"""Largest record that is forwarded: what Kafka takes by default, less some room for its key."""


class Gate(Protocol):
    """Open while this worker's replica holds all that was in the log when its partitions were assigned."""

    def is_set(self) -> bool:
        """Whether it is open."""

    async def wait(self) -> Any:
        """Wait until it is."""


class Forward(Protocol):
    """Sends a record to the partition its key belongs to."""

    async def __call__(self, topic: str, key: bytes, value: bytes) -> None:
        """Send it and wait until Kafka has it."""


class UserEvents:
    """Handles the shoppers' events, independent of Faust.

    Parameters
    ----------
    rows, replica, flusher, lists, rewards
        What an event changes.
    append
        Where interactions go.
    dead_letters
        Where what cannot be taken goes.
    metrics
        Outcomes.
    limits
        The clock that events are held against.
    session_gap
        Seconds of inactivity that close a session.
    """

    def __init__(
        self,
        rows: Rows,
        replica: Replica,
        flusher: Flusher,
        lists: PublishedLists,
        rewards: Rewards,
        append: Append,
        dead_letters: DeadLetterWriter,
        metrics: Metrics,
        *,
        limits: Limits,
        session_gap: float,
    ) -> None:
        self._rows = rows
        self._replica = replica
        self._flusher = flusher
        self._lists = lists
        self._rewards = rewards
        self._append = append
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._limits = limits
        self._session_gap = session_gap
        self._specs: Final[dict[str, TopicSpec]] = {spec.name: spec for spec in USER_EVENTS}
        self._delivered: dict[int, Callable[[int], None]] = {}
        self._counters: Final = {
            (spec.name, outcome): metrics.events.labels(spec.name, str(outcome))
            for spec in USER_EVENTS
            for outcome in Outcome
        }

    def handle(self, message: Any) -> UserEvent | None:
        """Take one Kafka message (Faust's).

        Returns
        -------
        UserEvent or None
            The event, where its key names another partition than its shopper's and it must be forwarded there;
            otherwise None: it was taken, or is in the dead letters.
        """
        spec = self._specs[message.topic]
        try:
            event = decode(
                message.value,
                spec.payload,  # type: ignore[arg-type]
                received=message.timestamp,
                limits=self._limits,
            )
            if not isinstance(event, UserEvent) or spec.source is None:
                raise RejectedError(RejectReason.WRONG_TYPE, "no event of a shopper")  # noqa: TRY301
            if message.key is None or message.key != event.user_id.encode():
                if len(message.value) > MAX_FORWARDED:
                    raise RejectedError(  # noqa: TRY301
                        RejectReason.INVALID_VALUE,
                        f"its key is not its user_id, and {len(message.value)} bytes are too many to forward",
                    )
                self._metrics.events.labels(message.topic, "rekeyed").inc()
                return event
            self._take(event, message, Place(spec.source, message.partition, message.offset))
        except RejectedError as error:
            self._dead_letters.write(message, error)
        except DeliveryError:
            # Kafka is away: nothing can be written down, so the event must be read again.
            raise
        except Exception as error:  # noqa: BLE001  # it becomes a dead letter, whatever it is
            _LOG.exception("could not fold %s[%s]@%s", message.topic, message.partition, message.offset)
            failed = RejectedError(RejectReason.FOLD_FAILED, f"{type(error).__name__}: {error}")
            self._dead_letters.write(message, failed)
        return None

    def _take(self, event: UserEvent, message: Any, place: Place) -> None:
        user_id = event.user_id
        row, outcome, interaction = fold(self._rows.get(user_id), event, place, self._session_gap)
        if outcome is Outcome.DUPLICATE:
            self._metrics.duplicates.labels(message.topic).inc()
            self._counters[message.topic, outcome].inc()
            return
        accepted = outcome is Outcome.ACCEPTED
        if accepted:
            self._measure(event, message.timestamp)
        # A row read again after a crash is written again too: the store on disk may be ahead of the changelog.
        self._rows.put(user_id, row, place.partition)
        if interaction is not None:
            self._learn(interaction, message)
        # A duplicate that is read again has no interaction; a second impression makes nothing seen anyway.
        if interaction is not None or isinstance(event, Impression):
            self._rewards.take(event, place, message.timestamp, anew=accepted)
        if isinstance(event, Erasure):
            self._flusher.erase(user_id)
        elif isinstance(event, Search):
            self._flusher.mark_search(user_id, message.timestamp)
        elif not isinstance(event, Impression):
            # what a shopper was shown is no news of what they like: the list they were shown stays
            self._flusher.mark(user_id, message.timestamp)
        self._counters[message.topic, outcome].inc()

    def _measure(self, event: UserEvent, ts: float) -> None:
        if isinstance(event, Click):
            self._lists.chose(event.user_id, event.item_id, ts)
        elif isinstance(event, Purchase):
            for line in event.items:
                self._lists.chose(event.user_id, line.item_id, ts)

    def _learn(self, interaction: Interaction, message: Any) -> None:
        partition = message.partition
        delivered = self._delivered.get(partition)
        if delivered is None:
            delivered = self._delivered[partition] = partial(self._replica.delivered, partition)
        value = _encoder.encode(interaction)
        self._append(INTERACTIONS.name, partition, message.key, value, delivered)
        self._replica.fold_own(interaction)
        models = self._replica.models
        query = interaction.query or models.tracker.query(interaction.user_id, interaction.ts)
        if query:
            self._flusher.touch_query(query)
        if interaction.lines:
            self._flusher.touch([line.item_id for line in interaction.lines], models.audiences(interaction))


def declare_users_agent(
    app: Any,
    events: UserEvents,
    flusher: Flusher,
    gate: Gate,
    forward: Forward,
    is_ours: Callable[[Any], bool] = lambda _: True,
) -> None:
    """Declare the agent on a Faust application.

    Parameters
    ----------
    app
        The Faust application.
    events, flusher, gate, forward
        What the agent uses.
    is_ours
        Whether a message is of the assignment of now.
    """
    topic = app.topic(*(spec.name for spec in USER_EVENTS), schema=RawSchema())

    async def users(stream: AsyncIterable[Any]) -> None:
        async for event in stream.events():  # type: ignore[attr-defined]
            if not gate.is_set():
                await gate.wait()
                if not is_ours(event.message):
                    # Its partition may have gone while it waited; whoever owns it now reads it again.
                    continue
            misplaced = events.handle(event.message)
            if misplaced is not None:
                await forward(event.message.topic, misplaced.user_id.encode(), event.message.value)
            await flusher.room(stream.channel.queue.qsize())  # type: ignore[attr-defined]

    app.agent(topic, name="users")(users)
