"""The base of everything that is a River estimator: parameters, copies and a representation."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Self

from river import base


class Estimator(base.Base):  # type: ignore[misc]  # River has no types
    """Constructor arguments are parameters; a clone has the same parameters and has learned nothing.

    A subclass implements `_get_params`. It names what its constructor takes besides indices and models that are
    shared with others: a clone makes its own.

    Examples
    --------
    >>> from stream_app.models.outliers import OutlierFilter
    >>> OutlierFilter(threshold=4.0).clone({"threshold": 5.0})
    OutlierFilter(threshold=5.0)
    """

    def _get_params(self) -> dict[str, Any]:
        raise NotImplementedError

    def clone(self, new_params: Mapping[str, Any] | None = None, include_attributes: bool = False) -> Self:
        """Make an unlearned copy.

        Parameters
        ----------
        new_params
            Values that replace those of the same names.
        include_attributes
            Whether the copy has learned what the original has.

        Raises
        ------
        ValueError
            If there is no parameter of a name, or if `new_params` come with `include_attributes`: what was learned
            belongs to the parameters that it was learned with.
        """
        copied = self._cloned_params(new_params)
        if not include_attributes:
            return type(self)(**copied)
        if new_params:
            raise ValueError(f"{self}: a copy of what was learned has the parameters of the original")
        return deepcopy(self)

    def _cloned_params(self, new_params: Mapping[str, Any] | None) -> dict[str, Any]:
        """Copies of the parameters, with new values of some."""
        params = self._get_params()
        unknown = sorted({*(new_params or {})} - params.keys())
        if unknown:
            raise ValueError(f"{self} has no {', '.join(unknown)}; it has {', '.join(params)}")
        return {
            name: value.clone() if isinstance(value, base.Base) else deepcopy(value)
            for name, value in {**params, **(new_params or {})}.items()
        }

    def __repr__(self) -> str:
        params = ", ".join(f"{name}={value!r}" for name, value in self._get_params().items())
        return f"{type(self).__name__}({params})"
