"""Ctrl-C and friends, turned into a clean end."""

import signal
from contextlib import AbstractContextManager
from enum import Enum
from types import FrameType, TracebackType
from typing import Final, Self

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SignalMode(Enum):
    """What a signal does."""

    RAISE = "raise"
    COUNT = "count"
    IGNORE = "ignore"


class InterruptHandler(AbstractContextManager["InterruptHandler"]):
    """Takes SIGINT, SIGTERM and SIGHUP while entered.

    At first a signal raises KeyboardInterrupt, as in any start-up; while figures are drawn it is only
    counted, so that it never tears a screen or a report; while things are stopped it is ignored, for that
    takes seconds and leaves nothing behind.

    Attributes
    ----------
    signal_mode
        What a signal does now.
    count
        Signals counted.
    """

    def __init__(self) -> None:
        self.signal_mode = SignalMode.RAISE
        self.count = 0
        self._previous_handlers: dict[int, object] = {}

    def __enter__(self) -> Self:
        self._previous_handlers = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.signal_mode is SignalMode.RAISE:
            raise KeyboardInterrupt
        if self.signal_mode is SignalMode.COUNT:
            self.count += 1
