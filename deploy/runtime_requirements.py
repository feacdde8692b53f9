"""Print the part of constraints.txt that the runtime needs, for ``pip install --require-hashes --no-deps``.

Arguments are extras of pyproject.toml that the runtime shall have, such as ``s3``.

constraints.txt pins the packages of all extras, those of the demo and the tests included. A dry run of pip,
constrained to the pinned versions, resolves which of them the runtime depends on. The constraints of that run have
no hashes: with hashes, pip (for example 26.0) rejects requirements that are not pinned themselves. The printed pins
have them again.

deploy/Dockerfile runs it in a folder with pyproject.toml and constraints.txt.
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
    """Split into pins, each with its marker and hashes."""
    return [block for block in re.split(r"\n(?=\S)", constraints.strip()) if not block.startswith("#")]


def versions(constraints: str) -> str:
    """The pins without hashes."""
    return "\n".join(block.splitlines()[0].rstrip(" \\") for block in blocks(constraints)) + "\n"


def selection(constraints: str, names: Iterable[str]) -> str:
    """The pins of these packages.

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
            f"constraints.txt does not pin {', '.join(sorted(missing))}; run `make lock` to update it"
        )
    return "\n".join(block for same in found.values() for block in same) + "\n"


def canonical(name: str) -> str:
    """Normalize a package name as package indexes do."""
    return re.sub(r"[-_.]+", "-", name).lower()


def resolve(requirements: list[str], pins: str) -> list[str]:
    """Names of all packages that pip resolves for the requirements."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "versions.txt")
        file.write_text(pins)
        options = ["--dry-run", "--ignore-installed", "--quiet", "--only-binary", ":all:", "--report", "-"]
        done = subprocess.run(  # noqa: S603  # pip with the project's requirements
            [sys.executable, "-m", "pip", "install", *options, "--constraint", str(file), *requirements],
            check=True,
            stdout=subprocess.PIPE,
        )
    return [item["metadata"]["name"] for item in json.loads(done.stdout)["install"]]


if __name__ == "__main__":
    project = tomllib.loads(Path("pyproject.toml").read_text())
    pinned = Path("constraints.txt").read_text()
    extras = project["project"]["optional-dependencies"]
    needed = [
        *project["project"]["dependencies"],
        *project["build-system"]["requires"],
        *(requirement for extra in sys.argv[1:] for requirement in extras[extra]),
    ]
    sys.stdout.write(selection(pinned, resolve(needed, versions(pinned))))
