"""Tests one mutant: in a fork of a process that has imported the code, and forgets what the defect reaches."""

import gc
import importlib
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType, ModuleType
from typing import Final

import pytest

from tests.mutation.imports import forget, importing_modules
from tests.mutation.modules import module_name
from tests.support import ROOT

_LIBRARIES: Final = (
    "numpy", "numba", "scipy.special", "msgspec", "hypothesis", "hypothesis.strategies", "redis.asyncio",
    "prometheus_client", "pydantic_settings", "aiokafka.admin", "kafka.admin", "rich.progress", "typer",
    "jsonschema", "yaml", "faust", "pytest_asyncio.plugin", "_hypothesis_pytestplugin",
)  # fmt: skip
"""What the tests import, and takes seconds."""

_TEST_SECONDS: Final = 180.0
"""Seconds of one test, on a busy machine; a defect may make it endless."""

_STILLBORN: Final = 90
_BROKEN: Final = 91
_ALL_PASSED: Final = 0


def prepare(paths: Iterable[str]) -> None:
    """Import the libraries of all tests and the code, and compile its kernels."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _LIBRARIES:
            try:
                importlib.import_module(name)
            except ImportError:
                continue
    for name in ("stream_app.worker.bootstrap", *map(module_name, paths)):
        importlib.import_module(name)
    settings = importlib.import_module("stream_app.settings").Settings()
    importlib.import_module("stream_app.worker.warm_up").warm_up(settings)
    gc.collect()
    # A collection would write to the memory that the children share.
    gc.freeze()


class _MutantLoader(SourceFileLoader):
    """Compiles other source than that of the file."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        del fullname
        return compile(self._source, self.path, "exec", dont_inherit=True)


class _MutantFinder(MetaPathFinder):
    def __init__(self, name: str, source: str) -> None:
        self._name = name
        self._source = source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _MutantLoader(fullname, spec.origin, self._source)
        return spec


class Child:
    """A process that runs tests on a mutant.

    Parameters
    ----------
    path, source
        File of the module, and its source with a defect.
    tests
        Files of tests.
    timeout
        Seconds until the tests count as failed: a defect may make a loop endless.
    """

    def __init__(self, path: str, source: str, tests: Sequence[str], timeout: float) -> None:
        self._folder = TemporaryDirectory(prefix="headrace-mutant-")
        self._deadline = time.monotonic() + timeout
        self.output = ""
        self.pid: Final = os.fork()
        if not self.pid:
            _run_in_child(path, source, tests, Path(self._folder.name))

    def outcome(self) -> str | None:
        """``survived``, ``killed``, ``timeout`` or ``stillborn`` (cannot be imported); None while it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            if time.monotonic() < self._deadline:
                return None
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.output = (Path(self._folder.name) / "output").read_text(errors="replace")[-4000:]
        self._folder.cleanup()
        code = os.waitstatus_to_exitcode(status) if pid else None
        if code is None:
            return "timeout"
        return {_ALL_PASSED: "survived", _STILLBORN: "stillborn", _BROKEN: "broken"}.get(code, "killed")


class _TimeLimit:
    """Ends the process by a signal when a test takes too long."""

    def pytest_runtest_logstart(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, _TEST_SECONDS)

    def pytest_runtest_logfinish(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _run_in_child(path: str, source: str, tests: Sequence[str], folder: Path) -> None:
    code: int = 1
    try:
        os.setsid()
        output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(folder / "hypothesis")
        tests_of_parent = {name for name in sys.modules if name.partition(".")[0] == "tests"}
        forget(importing_modules(module_name(path)) | tests_of_parent)
        sys.meta_path.insert(0, _MutantFinder(module_name(path), source))
        try:
            importlib.import_module(module_name(path))
        except BaseException:  # noqa: BLE001  # whatever it raises, such code is never used
            code = _STILLBORN
        else:
            arguments = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0"]
            # The parent has imported what is a plugin, too.
            arguments += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
            arguments += [f"--rootdir={ROOT}", f"--basetemp={folder / 'tests'}", *tests]
            code = int(pytest.main(arguments, [_TimeLimit()]))
    except ExceptionGroup:
        # What a failed test left open: a connection, a task.
        traceback.print_exc()
    except BaseException:  # noqa: BLE001  # the parent reads it
        traceback.print_exc()
        code = _BROKEN
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
