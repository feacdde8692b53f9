"""The two clocks of the flush loop."""

import time
from collections.abc import Callable
from typing import NamedTuple


class Clocks(NamedTuple):
    """The wall clock and a timer.

    Attributes
    ----------
    wall
        Seconds since the epoch, for times that others read. It may jump by hours.
    timer
        Seconds, monotonic, for intervals.
    """

    wall: Callable[[], float] = time.time
    timer: Callable[[], float] = time.monotonic


SYSTEM_CLOCKS = Clocks()
