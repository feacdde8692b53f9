"""docs/architecture.md: the picture equals the import contracts, and every module it names exists."""

import re
import tomllib
from itertools import pairwise, permutations
from typing import Any

import pytest

from tests.support import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text()
[PICTURE] = re.findall(r"^```mermaid\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
NODES = dict(re.findall(r'^ +(\w+)\["([\w.]+)<br>', PICTURE, re.MULTILINE))
ARROWS = {
    (NODES[above], NODES[below]) for above, below in re.findall(r"^ +(\w+) --> (\w+)$", PICTURE, re.MULTILINE)
}
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"][
    "importlinter"
]["contracts"]


def layers(contract: dict[str, Any]) -> list[list[str]]:
    return [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]


def is_package(name: str) -> bool:
    """Whether a name is a package of the picture, not a module or a package inside one."""
    return name.count(".") <= name.startswith("stream_app")


LAYER_CONTRACTS = [layers(contract) for contract in CONTRACTS if contract["type"] == "layers"]
PACKAGE_LAYERS = [
    contract for contract in LAYER_CONTRACTS if all(is_package(name) for layer in contract for name in layer)
]
FORBIDDEN = [
    (source, target)
    for contract in CONTRACTS
    if contract["type"] == "forbidden"
    for source in contract["source_modules"]
    for target in contract["forbidden_modules"]
]


def is_forbidden(importer: str, imported: str) -> bool:
    return any(
        f"{importer}.".startswith(f"{source}.") and f"{imported}.".startswith(f"{target}.")
        for source, target in FORBIDDEN
    )


def allowed_imports() -> set[tuple[str, str]]:
    """Every pair of packages whose import the layers allow and no other contract forbids."""
    return {
        (importer, imported)
        for contract in PACKAGE_LAYERS
        for i, layer in enumerate(contract)
        for lower in contract[i + 1 :]
        for importer in layer
        for imported in lower
        if not is_forbidden(importer, imported)
    }


def denied_imports() -> set[tuple[str, str]]:
    """Every pair of packages whose import a contract fails."""
    upwards = {
        (importer, imported)
        for contract in PACKAGE_LAYERS
        for i, layer in enumerate(contract)
        for upper in contract[: i + 1]
        for importer in layer
        for imported in upper
    }
    return upwards | {pair for pair in permutations(NODES.values(), 2) if is_forbidden(*pair)}


def reachable(arrows: set[tuple[str, str]]) -> set[tuple[str, str]]:
    closure = set(arrows)
    while added := {(a, d) for a, b in closure for c, d in closure if b == c} - closure:
        closure |= added
    return closure


def without_shortcuts(arrows: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The arrows that no longer path replaces."""
    closure = reachable(arrows)
    return {
        (a, b) for a, b in closure if not any((a, c) in closure and (c, b) in closure for _, c in closure)
    }


def test_the_arrows_are_those_of_the_import_contracts() -> None:
    assert without_shortcuts(allowed_imports()) == ARROWS


def test_an_import_without_an_arrow_fails_a_contract() -> None:
    assert set(permutations(NODES.values(), 2)) - reachable(ARROWS) - denied_imports() == set()


def test_the_picture_shows_every_package() -> None:
    packages = {f"stream_app.{path.parent.name}" for path in (ROOT / "stream_app").glob("*/__init__.py")}
    assert set(NODES.values()) == packages - {"stream_app.settings"} | {"state", "topics"}


def test_the_layers_inside_tools_are_those_of_the_import_contracts() -> None:
    [inner] = [
        [name.removeprefix("stream_app.") for layer in contract for name in layer]
        for contract in LAYER_CONTRACTS
        if contract not in PACKAGE_LAYERS
    ]
    [line] = re.findall(r"^- Inside tools: (.*)\.$", PAGE, re.MULTILINE)
    assert re.findall(r"`([\w.]+)`", line) == inner


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w/]+\.py)`", PAGE))))
def test_every_named_module_exists(path: str) -> None:
    assert (ROOT / path).is_file()


@pytest.mark.parametrize("package", sorted(NODES.values()))
def test_every_package_exists(package: str) -> None:
    assert (ROOT / package.replace(".", "/") / "__init__.py").is_file()


def test_the_steps_of_the_first_half_are_those_of_the_code() -> None:
    processor = (ROOT / "stream_app" / "worker" / "event_processor.py").read_text()
    body = processor.split("def process(", 1)[1].split("\n    def ", 1)[0]
    steps = (
        " fold(",
        "._rows.put(",
        ".measure,",
        "._append(",
        "._learn,",
        ".process_event",
        "._mark_pending,",
    )
    positions = [body.index(step) for step in steps]
    assert all(earlier < later for earlier, later in pairwise(positions))
    half = PAGE.split("### First half", 1)[1].split("### Second half", 1)[0]
    numbered = re.findall(r"^(\d\. )\*\*(\w+)", half, re.MULTILINE)
    assert [name for _, name in numbered] == ["Put", "Measure", "Learn", "Attribute", "Mark"]
    assert ["".join(step) for step in numbered] == re.findall(r"# (\d\. \w+)", body)


def test_the_steps_of_the_second_half_are_those_of_the_flush_loop() -> None:
    contract = (ROOT / "stream_app" / "publishing" / "flush_loop.py").read_text().split("\nimport ", 1)[0]
    steps = re.findall(r"^(\d)\. [^*]*\*\*(\w+)\*\*", contract, re.MULTILINE)
    half = PAGE.split("### Second half", 1)[1].split("\n## ", 1)[0]
    named = re.findall(r"^(\d)\. \*\*(\w+)", half, re.MULTILINE)
    assert len(steps) == 8
    assert [(number, name.lower()) for number, name in named] == [
        (number, name.lower()) for number, name in steps
    ]
