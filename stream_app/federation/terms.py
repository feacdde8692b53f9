"""What the shops of a federation agree on, and the record of what a shop has given."""

import os
from pathlib import Path
from typing import Final

import msgspec

from stream_app.errors import UserError
from stream_app.federation.updates import Privacy

MAX_STEPS: Final = 100_000
"""Steps of a round that a shop agrees to."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The server sends them with each round; a shop with others refuses.

    Attributes
    ----------
    privacy
        Clip and noise of the updates.
    round
        Number of the round, from 1 on.
    rounds
        Rounds of the federation.
    steps
        Training steps of a shop in a round.
    layout
        `stream_app.federation.wire.layout_of` the shared parameters.
    """

    privacy: Privacy
    round: int
    rounds: int
    steps: int
    layout: str

    def encode(self) -> bytes:
        """JSON."""
        return msgspec.json.encode(self)


def decode_terms(data: bytes) -> Terms:
    """Read terms.

    Raises
    ------
    ValueError
        If they cannot be read, or ask for too many steps.
    """
    terms = msgspec.json.decode(data, type=Terms)
    if not 1 <= terms.steps <= MAX_STEPS:
        raise ValueError(
            f"the server asks for {terms.steps} steps in a round; at most {MAX_STEPS:,} are taken"
        )
    return terms


class Release(msgspec.Struct, frozen=True):
    """Updates that a shop gave.

    Attributes
    ----------
    noise
        Of each, as `Privacy.noise`.
    updates
        Their number.
    """

    noise: float
    updates: int


class PrivacyRecord:
    """The updates that a shop has given so far, in a file: what was given once counts for ever.

    Parameters
    ----------
    path
        A JSON file; a missing one is a shop that gave nothing.

    Raises
    ------
    UserError
        If the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.releases: list[Release] = []
        try:
            self.releases = msgspec.json.decode(path.read_bytes(), type=list[Release])
        except FileNotFoundError:
            pass
        except (OSError, msgspec.MsgspecError) as error:
            raise UserError(
                f"{path}, the record of what this shop has given, cannot be read ({error}); restore it, or remove it "
                "to begin a new record: what was given before is not counted then."
            ) from None

    def with_update(self, noise: float) -> list[Release]:
        """The releases if one more update is given."""
        counts = {each.noise: each.updates for each in self.releases}
        counts[noise] = counts.get(noise, 0) + 1
        return [Release(*each) for each in sorted(counts.items())]

    def add_update(self, noise: float) -> None:
        """Store one more update, before it is given: after a crash it may count without having been given.

        Raises
        ------
        UserError
            If the file cannot be written.
        """
        self.releases = self.with_update(noise)
        partial = self._path.with_name(self._path.name + ".part")
        try:
            with partial.open("wb") as file:
                file.write(msgspec.json.encode(self.releases))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._path)
        except OSError as error:
            raise UserError(
                f"{self._path}, the record of what this shop gives, cannot be written ({error.strerror or error}): "
                "nothing was given."
            ) from None
