"""The cache of compiled kernels: one key for all kernel sources."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import stream_app
from stream_app.models.kernels import jit

CALLEE = """
from stream_app.models.kernels.jit import jit


@jit()
def factor():
    return {factor}
"""

CALLER = """
from stream_app.models.kernels.callee import factor
from stream_app.models.kernels.jit import jit


@jit()
def doubled():
    return 2 * factor()
"""

RUN = """
from stream_app.models.kernels.caller import doubled
print(doubled(), sum(doubled.stats.cache_hits.values()))
"""

READ_ONLY = """
import tempfile
from numba.core import caching


def refuse(*_, **__):
    raise PermissionError("read-only file system")


# Root may write to every folder.
tempfile.TemporaryFile = caching.IndexDataCacheFile.save = refuse
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A small package with this decorator and two kernels, one of which calls the other."""
    kernels = tmp_path / "stream_app" / "models" / "kernels"
    kernels.mkdir(parents=True)
    for folder in (kernels, kernels.parent, kernels.parent.parent):
        (folder / "__init__.py").write_text("")
    sources = Path(stream_app.__file__).parent / "models" / "kernels"
    for name in ("jit.py", "compilation.py"):
        (kernels / name).write_text((sources / name).read_text())
    (kernels / "callee.py").write_text(CALLEE.format(factor=3))
    (kernels / "caller.py").write_text(CALLER)
    return tmp_path


def run(package: Path, *, before: str = "", **environment: str) -> list[str]:
    """Call the caller in a new process; return its result and the number of kernels read from the cache."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA")}
    variables |= {"PYTHONPATH": str(package), **environment}
    result = subprocess.run(
        [sys.executable, "-c", before + RUN],
        cwd=package,
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.split()


def cache_folders(folder: Path) -> set[str]:
    return {each.name for each in folder.rglob("kernels-*")}


def test_a_change_of_one_kernel_file_recompiles_its_callers_and_removes_the_old_cache(package: Path) -> None:
    assert run(package) == ["6", "0"]
    assert run(package) == ["6", "1"]
    [first] = cache_folders(package)
    (package / "stream_app" / "models" / "kernels" / "callee.py").write_text(CALLEE.format(factor=5))
    assert run(package) == ["10", "0"]
    assert run(package) == ["10", "1"]
    [second] = cache_folders(package)
    assert first != second


def test_the_cache_folder_of_the_environment_overrides_the_source_tree(
    package: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    assert run(package, NUMBA_CACHE_DIR=str(folder)) == ["6", "0"]
    assert run(package, NUMBA_CACHE_DIR=str(folder)) == ["6", "1"]
    assert cache_folders(folder)
    assert not cache_folders(package)


def test_machine_code_is_read_from_a_read_only_folder(
    package: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = str(tmp_path_factory.mktemp("cache"))
    assert run(package, NUMBA_CACHE_DIR=folder) == ["6", "0"]
    assert run(package, before=READ_ONLY, NUMBA_CACHE_DIR=folder) == ["6", "1"]


def test_a_folder_that_takes_no_machine_code_ends_no_process(package: Path) -> None:
    full = READ_ONLY.replace("tempfile.TemporaryFile = ", "")
    assert run(package, before=full) == ["6", "0"]
    assert run(package, before=full) == ["6", "0"]


def test_compiled_kernels_are_counted_and_loaded_ones_are_not(package: Path) -> None:
    counted = """
from stream_app.models.kernels.caller import doubled
from stream_app.models.kernels.compilation import counted_compilations
with counted_compilations(lambda n: print("compiled", n)):
    doubled()
"""
    assert run(package, before=counted) == ["compiled", "1", "compiled", "2", "6", "0"]
    assert run(package, before=counted) == ["6", "1"]


def test_a_read_only_source_tree_uses_the_users_cache_folder(
    package: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # a file in place of the folder makes it unwritable even for root
    (package / "stream_app" / "models" / "kernels" / "__pycache__").write_text("")
    home = tmp_path_factory.mktemp("home")
    environment = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    assert run(package, **environment) == ["6", "0"]
    assert run(package, **environment) == ["6", "1"]
    assert cache_folders(home)


def test_every_kernel_file_is_part_of_the_cache_key() -> None:
    names = {file.relative_to(Path(stream_app.__file__).parent).as_posix() for file in jit.kernel_sources()}
    assert {"models/kernels/jit.py", "models/kernels/topk.py", "models/kernels/session_columns.py"} <= names
