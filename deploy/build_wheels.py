"""Build the two wheels of Headrace: ``headrace`` (everything) and ``headrace-client`` (for a web tier).

The client's wheel has the same sources: the modules that ``stream_app.client`` imports, directly or through
other modules of this repository, and their parent packages. deploy/client/pyproject.toml has its three dependencies.

``make wheels`` runs it from the root of the repository.
"""
# ruff: noqa: INP001  # a script, in no package

import ast
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

ENTRY = "stream_app.client"
FIRST_PARTY = ("stream_app", "state", "topics")


def module_file(root: Path, module: str) -> Path | None:
    """The file of a module or package; None for a name within a module."""
    path = root.joinpath(*module.split("."))
    if (path / "__init__.py").is_file():
        return path / "__init__.py"
    file = path.with_suffix(".py")
    return file if file.is_file() else None


def imported_modules(file: Path) -> Iterator[str]:
    """Names that a file imports at any level; ``from a import b`` yields ``a`` and ``a.b``."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def client_files(root: Path) -> list[Path]:
    """Files of the client's wheel, relative to `root`: the closure of the imports of `ENTRY`.

    Raises
    ------
    LookupError
        If there is no package `ENTRY`.
    """
    pending, files = [ENTRY], set[Path]()
    while pending:
        module = pending.pop()
        file = module_file(root, module)
        if file is None:
            if module == ENTRY:
                raise LookupError(f"there is no package {ENTRY} below {root}")
            continue
        if file in files:
            continue
        files.add(file)
        if "." in module:
            pending.append(module.rpartition(".")[0])
        pending.extend(name for name in imported_modules(file) if name.partition(".")[0] in FIRST_PARTY)
    marks = {file.parents[len(file.relative_to(root).parts) - 2] / "py.typed" for file in files}
    return sorted(file.relative_to(root) for file in files | marks if file.is_file())


def build(source: Path, target: Path) -> None:
    """Build the wheel of a source tree with the setuptools of this environment, without an index."""
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet", "--wheel-dir", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True)  # noqa: S603  # our own tree


def build_client(root: Path, target: Path) -> None:
    """Build the wheel of the client from a copy of its files."""
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for file in client_files(root):
            (tree / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / file, tree / file)
        project = (root / "deploy" / "client" / "pyproject.toml").read_text()
        (tree / "pyproject.toml").write_text(
            project.replace('dynamic = ["version"]', f'version = "{version}"')
        )
        shutil.copy(root / "deploy" / "client" / "README.md", tree / "README.md")
        shutil.copy(root / "LICENSE", tree / "LICENSE")
        build(tree, target)


def build_headrace(root: Path, target: Path) -> None:
    """Build the wheel of everything from a copy, so that no build folder is left in the repository."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in FIRST_PARTY:
            shutil.copytree(root / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(root / name, tree / name)
        build(tree, target)


if __name__ == "__main__":
    repository, folder = Path.cwd(), Path("dist").absolute()
    folder.mkdir(exist_ok=True)
    build_headrace(repository, folder)
    build_client(repository, folder)
    for wheel in sorted(folder.glob("*.whl")):
        sys.stdout.write(f"dist/{wheel.name}  {wheel.stat().st_size / 1e3:,.0f} kB\n")
