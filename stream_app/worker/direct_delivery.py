"""Hands a message to the stream of its agent by plain calls.

Faust asks four coroutines for each message, two of which look up settings: a lock of its table of streams, the flow
control, a buffer of its producer that a worker does not use, and the codecs.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

import faust

_Deliver = Callable[[Any], Awaitable[Any]]


class RawSchema(faust.Schema):  # type: ignore[misc]
    """Keys and values as raw bytes, without a lookup of codecs."""

    def compile(self, app: Any, **_: Any) -> _Deliver:
        """Return the function that converts a message into an event; it cannot fail."""
        make = app.conf.Event

        async def decode(message: Any, **_: Any) -> Any:
            return make(app, message.key, message.value, message.headers, message)

        return decode


class DirectDelivery:
    """Delivers messages: at once if one stream with raw events has room for it, otherwise as Faust does.

    Parameters
    ----------
    app
        The Faust application.
    deliver
        Faust's own delivery, which ignores messages of earlier assignments.
    """

    def __init__(self, app: Any, deliver: _Deliver) -> None:
        self._app = app
        self._deliver: Final = deliver
        self._callbacks = app.topics._tp_to_callback  # noqa: SLF001  # Faust has no public way to a stream's queue
        self._flow_control = app.flow_control
        self._event = app.conf.Event

    def __call__(self, message: Any) -> Awaitable[Any] | None:
        """Deliver a message; None if that is done, otherwise what has to be awaited."""
        handler = self._callbacks.get(message.tp)
        channels: Collection[Any] = getattr(handler, "channels", ())
        if len(channels) != 1 or not self._flow_control.is_active():
            return self._deliver(message)
        if message.generation_id != self._app.consumer_generation_id:
            return self._deliver(message)
        channel = next(iter(channels))
        queue = channel.queue
        if queue.full() or not isinstance(channel.schema, RawSchema):
            return self._deliver(message)
        message.incref()
        queue.put_nowait_enhanced(
            value=self._event(self._app, message.key, message.value, message.headers, message),
            on_pressure_high=handler.on_pressure_high,
            on_pressure_drop=handler.on_pressure_drop,
        )
        return None
