"""A package that looks installed: its modules and its entry points, in a folder on the path."""

from collections.abc import Mapping
from pathlib import Path


def install(
    folder: Path, name: str, modules: Mapping[str, str], entry_points: Mapping[str, Mapping[str, str]]
) -> Path:
    """Write modules and the metadata of a distribution, as pip does.

    Parameters
    ----------
    folder
        To be put on the path.
    name
        Of the distribution.
    modules
        Source by module.
    entry_points
        Object reference by name and group.
    """
    for module, source in modules.items():
        path = folder / f"{module.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "\n".join(
            "\n".join((f"[{group}]", *(f"{entry} = {value}" for entry, value in entries.items())))
            for group, entries in entry_points.items()
        )
    )
    return folder
