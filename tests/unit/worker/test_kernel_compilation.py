"""A start that compiles says so, and how far it is; one that loads machine code says nothing."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from stream_app.settings import Settings
from stream_app.worker import kernel_compilation
from stream_app.worker.kernel_compilation import compile_kernels


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of kernels that a start compiles, four seconds each."""
    numbers: list[int] = []
    reports: list[Callable[[int], None]] = []
    now = 100.0

    @contextmanager
    def counted(report: Callable[[int], None]) -> Iterator[None]:
        reports.append(report)
        yield

    def warm_up(_settings: Settings) -> None:
        nonlocal now
        for number in numbers:
            now += 4.0
            reports[-1](number)

    monkeypatch.setattr(kernel_compilation, "counted_compilations", counted)
    monkeypatch.setattr(kernel_compilation, "warm_up", warm_up)
    monkeypatch.setattr("stream_app.worker.kernel_compilation.time.monotonic", lambda: now)
    monkeypatch.setattr(kernel_compilation, "n_kernels", lambda: 9)
    return numbers


def test_a_start_that_compiles_logs_its_progress(
    compiled: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    compiled += range(1, 8)
    with caplog.at_level(logging.INFO):
        compile_kernels(Settings())
    first, *later = [record.message for record in caplog.records]
    assert "`headrace compile`" in first
    assert later == [
        "compiled 3 of at most 9 kernels in 12 s",
        "compiled 6 of at most 9 kernels in 24 s",
        "compiled 7 kernels in 28 s",
    ]


def test_a_start_that_loads_machine_code_logs_nothing(
    compiled: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    assert not compiled
    with caplog.at_level(logging.INFO):
        compile_kernels(Settings())
    assert not caplog.records
