"""Shared by all tests: a clean environment, the folder of real event logs, and a failure of skipped tests in CI."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from _pytest.terminal import TerminalReporter

from stream_app.settings import shared_data_dir
from tests.support import ROOT

if TYPE_CHECKING:
    from redis import Redis

    from stream_app.tools.embedded import EmbeddedRedis

with warnings.catch_warnings():
    # On import, kafka-python reads its schemas with a function that is deprecated in Python 3.11 and 3.12.
    warnings.simplefilter("ignore", DeprecationWarning)
    import kafka  # noqa: F401  # for its warnings


# Variables with locations that the tests use. Any other HEADRACE_* variable is a setting that would change results.
PRESERVED_VARIABLES: Final = ("HEADRACE_BROKER", "HEADRACE_REDIS", "HEADRACE_DATA", "HEADRACE_CACHE")

# Tests compile many small programs and run each a few times. Trainer processes optimize theirs (`trainer_handle`).
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

IN_CI: Final = bool(os.environ.get("CI"))

_skipped = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_skipped] = []
    for name in list(os.environ):
        if name.startswith("HEADRACE_") and name not in PRESERVED_VARIABLES:
            del os.environ[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(ROOT / "tests" / "integration"):
            item.add_marker(pytest.mark.integration)


class _SkipCollector:
    """Collects skipped tests, except doctests in which each line is marked +SKIP."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if (
            report.skipped
            and not hasattr(report, "wasxfail")
            and "all tests skipped by +SKIP" not in str(report.longrepr)
        ):
            self.names.append(f"{report.nodeid}: {_reason(report)}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.names.append(f"{report.nodeid}: {_reason(report)}")


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.pluginmanager.register(_SkipCollector(session.config.stash[_skipped]), "headrace-skips")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if IN_CI and session.config.stash[_skipped] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    names = config.stash[_skipped]
    if IN_CI and names:
        terminalreporter.section("skipped in CI, which fails the run", red=True)
        for name in names:
            terminalreporter.write_line(name)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real event logs (``HEADRACE_DATA``); tests that need it are skipped if it is missing."""
    folder = ROOT / shared_data_dir()
    if not folder.is_dir():
        pytest.skip(f"no event logs in {folder}: set HEADRACE_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="module")
def redis_server() -> "Iterator[EmbeddedRedis]":
    """A Redis of the test module alone, which its tests may stop."""
    from stream_app.tools.embedded import EmbeddedRedis

    with EmbeddedRedis() as running:
        yield running


@pytest.fixture
def redis(redis_server: "EmbeddedRedis") -> "Iterator[Redis]":
    """A connection to the Redis of the module, which runs and is empty."""
    from redis import Redis

    redis_server.start()
    with Redis.from_url(redis_server.address, decode_responses=True) as connection:
        connection.flushall()
        yield connection
