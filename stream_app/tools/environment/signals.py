"""Handling of SIGINT, SIGTERM and SIGHUP for a clean shutdown."""

import signal
from contextlib import AbstractContextManager
from enum import Enum
from types import FrameType
from typing import Final, Self

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SignalMode(Enum):
    """Effect of a signal."""

    RAISE = "raise"
    COUNT = "count"
    IGNORE = "ignore"


class InterruptHandler(AbstractContextManager["InterruptHandler"]):
    """Context manager that handles SIGINT, SIGTERM and SIGHUP.

    During startup a signal raises KeyboardInterrupt. During the run it is only counted, so that it never interrupts
    drawing or a report. During shutdown it is ignored: shutdown takes seconds and must complete.

    Attributes
    ----------
    signal_mode
        Current effect of a signal.
    count
        Signals counted so far.
    """

    def __init__(self) -> None:
        self.signal_mode = SignalMode.RAISE
        self.count = 0
        self._previous_handlers: dict[int, object] = {}

    def __enter__(self) -> Self:
        self._previous_handlers = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.signal_mode is SignalMode.RAISE:
            raise KeyboardInterrupt
        if self.signal_mode is SignalMode.COUNT:
            self.count += 1
