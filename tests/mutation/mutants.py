"""Lists the mutants of a module."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

from tests.mutation.operators import RemoveStatement, SwapMinMax
from tests.support import ROOT

_COSMIC_RAY: Final = (
    "NumberReplacer",
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ZeroIterationForLoop",
    "RemoveDecorator",
    "ReplaceUnaryOperator_USub_UAdd",
    "ReplaceUnaryOperator_Delete_Not",
    *(
        f"ReplaceComparisonOperator_{before}_{after}"
        for before, after in (
            ("Lt", "LtE"),
            ("LtE", "Lt"),
            ("Gt", "GtE"),
            ("GtE", "Gt"),
            ("Eq", "NotEq"),
            ("NotEq", "Eq"),
            ("Is", "IsNot"),
            ("IsNot", "Is"),
        )
    ),
    *(
        f"ReplaceBinaryOperator_{before}_{after}"
        for before, after in (
            ("Add", "Sub"),
            ("Sub", "Add"),
            ("Mul", "Div"),
            ("Div", "Mul"),
            ("FloorDiv", "Mul"),
            ("Mod", "Add"),
            ("Pow", "Mul"),
            ("RShift", "LShift"),
            ("LShift", "RShift"),
            ("BitAnd", "BitOr"),
            ("BitOr", "BitAnd"),
        )
    ),
)
"""One replacement an operator: the others that Cosmic Ray has (11 for each ``+``) mostly fail by their types."""


class Mutant(NamedTuple):
    """One defect.

    Attributes
    ----------
    path
        File of the module.
    operator
        What is changed.
    source
        The changed code.
    before, after
        The lines that differ, without indentation and double blanks.
    """

    path: str
    operator: str
    source: str
    before: str
    after: str


@cache
def _operators() -> dict[str, Any]:
    operators = {name: get_operator(f"core/{name}")() for name in _COSMIC_RAY}
    return operators | {"SwapMinMax": SwapMinMax(), "RemoveStatement": RemoveStatement()}


class Candidate(NamedTuple):
    """Where a file can have a defect: an operator, and which of the nodes where it applies."""

    path: str
    operator: str
    occurrence: int


def list_candidates(path: str) -> list[Candidate]:
    """The candidates of a file; lines of the log are left alone."""
    source = (ROOT / path).read_text()
    ignored = set(_ignored_lines(source))
    counts: Counter[str] = Counter()
    candidates = []
    for node in ast_nodes(get_ast(source)):
        is_ignored = _is_star_of_arguments(node) or _is_union_of_types(node)
        for name, operator in _operators().items():
            for (line, _), _ in operator.mutation_positions(node):
                # Nodes that are left alone count, too: Cosmic Ray finds a node by its number.
                if not is_ignored and line not in ignored:
                    candidates.append(Candidate(path, name, counts[name]))
                counts[name] += 1
    return candidates


def _is_star_of_arguments(node: Any) -> bool:
    """Whether a node is a star before arguments, which Cosmic Ray takes for an operator."""
    if getattr(node, "value", "") not in {"*", "**"}:
        return False
    previous = node.get_previous_leaf()
    return previous is not None and previous.value in {"(", "[", "{", ","}


def _is_union_of_types(node: Any) -> bool:
    """Whether a node is the bar of ``int | None`` in an annotation: with an ``&`` it fails, or is not evaluated."""
    if getattr(node, "value", "") != "|":
        return False
    inner, parent = node, node.parent
    while parent is not None:
        before = [child for child in parent.children if child.start_pos < inner.start_pos]
        if parent.type in {"tfpdef", "annassign"}:
            return getattr(before[-1], "value", "") == ":"
        if parent.type == "funcdef":
            return getattr(before[-1], "value", "") == "->"
        inner, parent = parent, parent.parent
    return False


def make_mutant(candidate: Candidate) -> Mutant | None:
    """The mutant of a candidate; None if nothing changes."""
    return _mutant(
        candidate.path, (ROOT / candidate.path).read_text(), candidate.operator, candidate.occurrence
    )


def _mutant(path: str, source: str, name: str, occurrence: int) -> Mutant | None:
    mutated = apply(source, name, occurrence)
    lines, mutated_lines = source.split("\n"), mutated.split("\n")
    first = next(
        (at for at, pair in enumerate(zip(lines, mutated_lines, strict=False)) if pair[0] != pair[1]), None
    )
    if first is None:
        return None
    last = 0
    while (
        last < min(len(lines), len(mutated_lines)) - first - 1
        and lines[-1 - last] == mutated_lines[-1 - last]
    ):
        last += 1
    before, after = lines[first : len(lines) - last], mutated_lines[first : len(mutated_lines) - last]
    return Mutant(path, name, mutated, _text(before), _text(after))


def _text(lines: list[str]) -> str:
    return re.sub(r"\s+", " ", " ".join(lines)).strip()


def apply(source: str, operator: str, occurrence: int) -> str:
    """The source with one defect."""
    mutated: str | None = mutate_code(source, _operators()[operator], occurrence)
    if mutated is None:
        raise ValueError(f"{operator} has no node {occurrence}")
    return mutated


def _ignored_lines(source: str) -> Iterator[int]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("_LOG."):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)
