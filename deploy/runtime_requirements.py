"""Print the part of constraints.txt that the runtime needs, for ``pip install --require-hashes --no-deps``.

constraints.txt pins every extra's packages, the demo's and the tests' too. pip is asked which of them the
runtime dependencies lead to, held to the pinned versions; it resolves and installs nothing. It is given the
versions alone: with hashes among its constraints, pip (26.0 for one) refuses requirements that are not pinned
themselves. The hashes come back with the pins that are printed.

Run by deploy/Dockerfile, in a folder with pyproject.toml and constraints.txt.
"""
# ruff: noqa: INP001  # a script, in no package

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path


def blocks(constraints: str) -> list[str]:
    """The pins, each with its marker and hashes."""
    return [block for block in re.split(r"\n(?=\S)", constraints.strip()) if not block.startswith("#")]


def versions(constraints: str) -> str:
    """The pins without their hashes."""
    return "\n".join(block.splitlines()[0].rstrip(" \\") for block in blocks(constraints)) + "\n"


def selection(constraints: str, names: Iterable[str]) -> str:
    """The pins of some packages.

    Raises
    ------
    LookupError
        If one is not pinned.
    """
    wanted = {canonical(name) for name in names}
    found: dict[str, list[str]] = {}
    for block in blocks(constraints):
        name = canonical(re.split(r"[=\s\[]", block, maxsplit=1)[0])
        if name in wanted:
            found.setdefault(name, []).append(block)
    if missing := wanted - found.keys():
        raise LookupError(
            f"constraints.txt does not pin {', '.join(sorted(missing))}; `make lock` writes it anew"
        )
    return "\n".join(block for same in found.values() for block in same) + "\n"


def canonical(name: str) -> str:
    """A package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def resolve(requirements: list[str], pins: str) -> list[str]:
    """The names of all packages that the requirements lead to, according to pip."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "versions.txt")
        file.write_text(pins)
        options = ["--dry-run", "--ignore-installed", "--quiet", "--only-binary", ":all:", "--report", "-"]
        done = subprocess.run(  # noqa: S603  # pip, with our own requirements
            [sys.executable, "-m", "pip", "install", *options, "--constraint", str(file), *requirements],
            check=True,
            stdout=subprocess.PIPE,
        )
    return [item["metadata"]["name"] for item in json.loads(done.stdout)["install"]]


if __name__ == "__main__":
    project = tomllib.loads(Path("pyproject.toml").read_text())
    pinned = Path("constraints.txt").read_text()
    needed = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    sys.stdout.write(selection(pinned, resolve(needed, versions(pinned))))
