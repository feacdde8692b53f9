"""Import of the packages of the extras, such as ``headrace[text]``, when they are needed."""

from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from stream_app.errors import UserError


def import_package(module: str, extra: str, purpose: str) -> Any:
    """Import a module of an optional package.

    Parameters
    ----------
    extra
        The extra of Headrace that installs the package.
    purpose
        What needs it, the subject of the message's sentence.

    Raises
    ------
    UserError
        If the package is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        missing = (error.name or module).partition(".")[0]
        raise _is_missing(missing, extra, purpose) from None


def check_packages(packages: Iterable[str], extra: str, purpose: str) -> None:
    """Check that optional packages are installed, and import none.

    Parameters
    ----------
    packages
        Names of top-level packages.
    extra, purpose
        As of `import_package`.

    Raises
    ------
    UserError
        If a package is not installed.
    """
    for package in packages:
        if find_spec(package) is None:
            raise _is_missing(package, extra, purpose)


def _is_missing(package: str, extra: str, purpose: str) -> UserError:
    return UserError(
        f"{purpose} needs the package {package}, which is not installed: pip install 'headrace[{extra}]'."
    )
