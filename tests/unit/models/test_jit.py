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


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A small package with this decorator and two kernels, one of which calls the other."""
    kernels = tmp_path / "stream_app" / "models" / "kernels"
    kernels.mkdir(parents=True)
    for folder in (kernels, kernels.parent, kernels.parent.parent):
        (folder / "__init__.py").write_text("")
    source = Path(stream_app.__file__).parent / "models" / "kernels" / "jit.py"
    (kernels / "jit.py").write_text(source.read_text())
    (kernels / "callee.py").write_text(CALLEE.format(factor=3))
    (kernels / "caller.py").write_text(CALLER)
    return tmp_path


def run(package: Path, **environment: str) -> list[str]:
    """Call the caller in a new process; return its result and the number of kernels read from the cache."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA")}
    variables |= {"PYTHONPATH": str(package), **environment}
    result = subprocess.run(
        [sys.executable, "-c", RUN], cwd=package, env=variables, capture_output=True, text=True, check=True
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
