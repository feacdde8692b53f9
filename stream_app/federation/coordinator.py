"""The server's part in a federation: the shared parameters, and the mean of the updates that are accepted."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import load, save

from stream_app.errors import UserError
from stream_app.federation.terms import Terms
from stream_app.federation.updates import Parameters, Privacy, add_mean_update, check_update
from stream_app.federation.wire import from_tensors, layout_of, to_tensors

_LOG: Final = logging.getLogger(__name__)
_LAYOUT, _ROUND = "headrace_layout", "headrace_round"


class Coordinator:
    """Holds the shared parameters, and adds the mean of each round's updates.

    Parameters
    ----------
    parameters
        Before the first round: drawn, not learned.
    content_fingerprint
        Of the contents that the shops learn from.
    path
        A safetensors file, written after each round; if it exists, the federation goes on from it. It has nothing
        but what each shop was sent.
    rounds, steps
        Rounds of the federation, and training steps of a shop in each.

    Raises
    ------
    UserError
        If the file cannot be read, or has another model.
    """

    def __init__(
        self,
        parameters: Parameters,
        content_fingerprint: str,
        privacy: Privacy,
        path: Path,
        rounds: int,
        steps: int,
    ) -> None:
        self.parameters: dict[str, NDArray[np.float32]] = dict(parameters)
        self.n_rounds = 0
        self._privacy = privacy
        self._path = path
        self._rounds, self._steps = rounds, steps
        self._layout = layout_of(parameters, content_fingerprint)
        self._shapes = {name: values.shape for name, values in parameters.items()}
        if path.exists():
            self._restore()

    @property
    def is_complete(self) -> bool:
        """Whether all rounds are done."""
        return self.n_rounds >= self._rounds

    def terms(self) -> Terms:
        """What is sent with the next round."""
        return Terms(
            privacy=self._privacy,
            round=self.n_rounds + 1,
            rounds=self._rounds,
            steps=self._steps,
            layout=self._layout,
        )

    def tensors(self) -> list[bytes]:
        """The shared parameters as they are sent."""
        return to_tensors(self.parameters)

    def finish_round(self, given: Mapping[str, Sequence[bytes]], least: int) -> list[str]:
        """Add the mean of the updates; the shops whose updates were accepted.

        Parameters
        ----------
        given
            The tensors of each shop's update.
        least
            With fewer accepted updates, the round counts for nothing and is repeated.
        """
        updates: dict[str, Parameters] = {}
        for name, tensors in given.items():
            try:
                update = from_tensors(tensors, self._shapes)
                check_update(self.parameters, update, self._privacy)
                updates[name] = update
            except ValueError as error:
                _LOG.warning("refusing the update of shop %s: %s", name, error)
        if len(updates) < least:
            return []
        self.parameters = add_mean_update(self.parameters, list(updates.values()))
        self.n_rounds += 1
        self._store()
        return list(updates)

    def _store(self) -> None:
        metadata = {_LAYOUT: self._layout, _ROUND: str(self.n_rounds)}
        partial = self._path.with_name(self._path.name + ".part")
        try:
            partial.write_bytes(save(self.parameters, metadata))
            partial.replace(self._path)
        except OSError as error:
            raise UserError(f"{self._path} cannot be written: {error.strerror or error}.") from None

    def _restore(self) -> None:
        try:
            data = self._path.read_bytes()
            parameters = load(data)
            with safetensors.safe_open(str(self._path), "numpy") as file:
                metadata = file.metadata() or {}
            rounds = int(metadata.get(_ROUND, ""))
        except (OSError, safetensors.SafetensorError, ValueError) as error:
            raise UserError(
                f"{self._path} is no model of a federation ({error}); name another file by --model."
            ) from None
        if metadata.get(_LAYOUT) != self._layout:
            raise UserError(
                f"{self._path} has a model of other dimensions or contents; name another file by --model, or "
                "use the options that it was begun with."
            )
        self.parameters, self.n_rounds = dict(parameters), rounds
