"""Bounds the log of a worker: lines that differ in their values alone are limited, and the suppressed ones counted.

While no broker answers, the Kafka client logs several lines for each attempt to connect, some 200 per second.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Final

_LOG: Final = logging.getLogger(__name__)
_OWN_PACKAGES: Final = frozenset({"stream_app", "state", "topics"})
_OWN_LINES: Final = 20
_LIBRARY_LINES: Final = 3
_TRACEBACK_LINES: Final = 7
"""A line with a traceback counts as many."""

_PERIOD_SECONDS: Final = 60.0
_MAX_KINDS: Final = 1_000
"""Kinds of lines in memory; beyond it the oldest is forgotten."""

_TEMPLATE_LENGTH: Final = 200
_VALUES: Final = re.compile(r"0x[0-9a-fA-F]+|\d+")

_Kind = tuple[str, int, str]


class _Period:
    __slots__ = ("n_lines", "n_suppressed", "newest", "started")

    def __init__(self, started: float) -> None:
        self.started = started
        self.n_lines = self.n_suppressed = 0
        self.newest = ""


class LogRateLimit(logging.Filter):
    """A filter for handlers: of each kind of lines a few pass per minute; one line tells how many did not.

    Lines are of one kind if they have the same logger, level and text without digits, before arguments are inserted.
    Lines of Headrace have a larger limit than those of libraries. Lines below warnings are not limited.

    Parameters
    ----------
    clock
        Seconds, monotonic.

    Examples
    --------
    >>> limit = LogRateLimit(clock=lambda: 100.0)
    >>> lines = [logging.LogRecord("aiokafka", logging.ERROR, "", 0, "no node %s", (n,), None) for n in range(5)]
    >>> [limit.filter(line) for line in lines]
    [True, True, True, False, False]
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._periods: dict[_Kind, _Period] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is logged; reports the suppressed lines of periods that have ended."""
        if record.levelno < logging.WARNING or record.name == __name__:
            return True
        now = self._clock()
        with self._lock:
            period, ended = self._period(_kind_of(record), now)
            passes = period.n_lines < _limit_of(record)
            if passes:
                period.n_lines += _TRACEBACK_LINES if record.exc_info else 1
            else:
                period.n_suppressed += 1
                period.newest = _text_of(record)
                self._start_timer()
        _report(ended)
        return passes

    def report(self, *, at_exit: bool = False) -> None:
        """Log how many lines were suppressed in the periods that have ended; in all periods at the exit."""
        now = self._clock()
        with self._lock:
            ended = [
                kind
                for kind, each in self._periods.items()
                if at_exit or now >= each.started + _PERIOD_SECONDS
            ]
            periods = [self._periods.pop(kind) for kind in ended]
            self._timer = None
            if any(each.n_suppressed for each in self._periods.values()):
                self._start_timer()
        _report(periods)

    def _period(self, kind: _Kind, now: float) -> tuple[_Period, list[_Period]]:
        """The current period of a kind, and periods that have ended."""
        period = self._periods.get(kind)
        if period is not None and now < period.started + _PERIOD_SECONDS:
            return period, []
        ended = [] if period is None else [self._periods.pop(kind)]
        period = self._periods[kind] = _Period(now)
        if len(self._periods) > _MAX_KINDS:
            ended.append(self._periods.pop(next(iter(self._periods))))
        return period, ended

    def _start_timer(self) -> None:
        """Report after this period, even if no further line follows."""
        if self._timer is None:
            self._timer = threading.Timer(_PERIOD_SECONDS, self.report)
            self._timer.daemon = True
            self._timer.start()


def limit_log_rate() -> LogRateLimit:
    """Limit the handlers of the root logger."""
    limit = LogRateLimit()
    for handler in logging.getLogger().handlers:
        handler.addFilter(limit)
    return limit


def _kind_of(record: logging.LogRecord) -> _Kind:
    return record.name, record.levelno, _VALUES.sub("#", str(record.msg))[:_TEMPLATE_LENGTH]


def _limit_of(record: logging.LogRecord) -> int:
    return _OWN_LINES if record.name.partition(".")[0] in _OWN_PACKAGES else _LIBRARY_LINES


def _text_of(record: logging.LogRecord) -> str:
    lines = f"{record.levelname} {record.name}: {record.getMessage()}".splitlines()
    return lines[0][:_TEMPLATE_LENGTH]


def _report(periods: list[_Period]) -> None:
    for each in periods:
        if each.n_suppressed:
            _LOG.warning(
                "suppressed %d lines like this one within %d s: %s",
                each.n_suppressed,
                _PERIOD_SECONDS,
                each.newest,
            )
