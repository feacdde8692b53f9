"""Operators that Cosmic Ray lacks: the other end of an order, and a statement that is left out."""

from collections.abc import Iterator
from typing import Any, Final

from cosmic_ray.operators.operator import Operator
from parso.python import tree

_OTHER_END: Final = {"min": "max", "max": "min", "popleft": "pop"}


class SwapMinMax(Operator):  # type: ignore[misc]  # Cosmic Ray has no types
    """Replaces ``min`` by ``max``, and the reverse."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """The name of a call of either."""
        following = node.get_next_sibling() if isinstance(node, tree.Name) else None
        if following is not None and node.value in _OTHER_END and following.get_first_leaf().value == "(":
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """The other function."""
        del index
        return tree.Name(_OTHER_END[node.value], node.start_pos, node.prefix)

    @classmethod
    def examples(cls) -> tuple[Any, ...]:
        """None: they serve Cosmic Ray's own tests."""
        return ()


class RemoveStatement(Operator):  # type: ignore[misc]  # as above
    """Replaces a call whose result is not used, or an assignment to an attribute or a key, by ``pass``."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """The expression of such a statement."""
        if _is_removable(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """``pass`` instead."""
        del index
        return tree.Keyword("pass", node.start_pos, node.get_first_leaf().prefix)

    @classmethod
    def examples(cls) -> tuple[Any, ...]:
        """None, as above."""
        return ()


def _is_removable(node: Any) -> bool:
    if getattr(node.parent, "type", "") != "simple_stmt" or node.type not in {
        "atom_expr",
        "power",
        "expr_stmt",
        "await_expr",
    }:
        return False
    if node.type != "expr_stmt":
        return not node.get_code().lstrip().startswith(("_LOG.", "yield"))
    target, operator = node.children[0], node.children[1].get_code().strip()
    # A local name that is not assigned fails at its next use, whatever the tests check.
    return operator.endswith("=") and (operator != "=" or target.type in {"atom_expr", "power"})
