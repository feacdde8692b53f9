"""Import of the packages of the extras, such as ``headrace[text]``, when they are needed."""

from importlib import import_module
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
        raise UserError(
            f"{purpose} needs the package {missing}, which is not installed: pip install 'headrace[{extra}]'."
        ) from None
