"""Names that installed packages register: models, fusions and policies of a shop's own."""

from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from stream_app.errors import UserError

MODELS: Final = "headrace.models"
FUSIONS: Final = "headrace.fusions"
POLICIES: Final = "headrace.policies"


def registered_names(group: str) -> list[str]:
    """Names that packages register in a group of entry points, sorted."""
    return sorted({each.name for each in entry_points(group=group)})


def is_registered(group: str, name: str) -> bool:
    """Whether a package registers a name."""
    return name in registered_names(group)


def load_plugin(group: str, name: str) -> Any:
    """Import what a package registers; names of Headrace take precedence, and are not asked for here.

    Parameters
    ----------
    group
        `MODELS`, `FUSIONS` or `POLICIES`.
    name
        One of `registered_names`.

    Raises
    ------
    UserError
        If two packages register the name differently, or the import fails.
    """
    found: list[EntryPoint] = list(entry_points(group=group, name=name))
    values = sorted({each.value for each in found})
    if len(values) > 1:
        raise UserError(f"{name!r} in {group} is ambiguous: {', '.join(values)}. Uninstall or rename one.")
    try:
        return found[0].load()
    except Exception as error:  # the package may raise whatever it likes
        raise UserError(
            f"{group}: {name!r} of {_package(found[0])} cannot be imported from {values[0]}: "
            f"{type(error).__name__}: {error}."
        ) from error


def _package(entry_point: EntryPoint) -> str:
    distribution = entry_point.dist
    return "an unknown package" if distribution is None else distribution.name
