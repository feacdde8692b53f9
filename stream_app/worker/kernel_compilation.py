"""The compilation of the kernels at the start of a worker, with its progress in the log."""

import logging
import time
from typing import Final

from stream_app.models.kernels.compilation import counted_compilations
from stream_app.models.kernels.jit import n_kernels
from stream_app.settings import Settings
from stream_app.worker.warm_up import warm_up

_LOG: Final = logging.getLogger(__name__)
_REPORT_SECONDS: Final = 10.0


def compile_kernels(settings: Settings) -> None:
    """Compile the kernels that the settings need, or load their machine code.

    The first start on a machine compiles for a minute; an image has the machine code (`headrace compile`).
    """
    began = reported_at = time.monotonic()
    n_compiled = 0

    def report(n: int) -> None:
        nonlocal n_compiled, reported_at
        now = time.monotonic()
        if not n_compiled:
            _LOG.info(
                "compiling the kernels: this machine has no machine code of them yet. It takes about a minute, once; "
                "`headrace compile` does it before the start"
            )
        elif now - reported_at >= _REPORT_SECONDS:
            reported_at = now
            _LOG.info("compiled %d of at most %d kernels in %.0f s", n, n_kernels(), now - began)
        n_compiled = n

    with counted_compilations(report):
        warm_up(settings)
    if n_compiled:
        _LOG.info("compiled %d kernels in %.0f s", n_compiled, time.monotonic() - began)
