"""A shop's part in a federation: it learns at home, and gives the clipped, noisy change of the shared parameters."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from stream_app.errors import UserError
from stream_app.federation.terms import PrivacyRecord, Release, Terms
from stream_app.federation.updates import Privacy, shop_update
from stream_app.federation.wire import from_tensors, layout_of, to_tensors
from stream_app.training.two_tower_training import TwoTowerTraining


class Shop:
    """Answers the rounds of a server with updates.

    Parameters
    ----------
    training
        Has the shop's sequences.
    content_fingerprint
        Of the contents that `training` learns from.
    privacy
        Clip and noise that the shop agrees to.
    record
        What the shop has given.
    epsilon
        The epsilon of releases.
    max_epsilon
        The shop gives nothing that would exceed it.
    on_step
        Receives the number of the round, and steps done and to do in it.
    rng
        Draws the noise; by default with a seed that is known to no one.
    """

    def __init__(
        self,
        training: TwoTowerTraining,
        content_fingerprint: str,
        privacy: Privacy,
        record: PrivacyRecord,
        epsilon: Callable[[Sequence[Release]], float],
        max_epsilon: float,
        on_step: Callable[[Terms, int], None] = lambda _terms, _step: None,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.training: Final = training
        self.privacy: Final = privacy
        self.n_rounds = 0
        self._record = record
        self._epsilon = epsilon
        self._max_epsilon = max_epsilon
        self._on_step = on_step
        self._rng = rng or np.random.default_rng()
        first = training.dense_parameters()
        self._layout = layout_of(first, content_fingerprint)
        self._shapes = {name: values.shape for name, values in first.items()}

    @property
    def epsilon(self) -> float:
        """The epsilon of all that the shop has given."""
        return self._epsilon(self._record.releases) if self._record.releases else 0.0

    def answer(self, terms: Terms, tensors: Sequence[bytes]) -> list[bytes]:
        """Take the steps of a round from the shared parameters on, and return the update.

        Raises
        ------
        UserError
            If the server's terms are not those of the shop, or the update would exceed the shop's epsilon.
        """
        self._check(terms)
        self._adopt(tensors)
        before = self.training.dense_parameters()
        for step in range(terms.steps):
            self._on_step(terms, step)
            self.training.step()
        try:
            update = shop_update(before, self.training.dense_parameters(), self.privacy, self._rng)
        except ValueError as error:
            raise UserError(
                f"Round {terms.round}: {error}; nothing was given. Look for interactions with wrong times or kinds."
            ) from None
        self._record.add_update(self.privacy.noise)
        self.n_rounds += 1
        return to_tensors(update)

    def finish(self, tensors: Sequence[bytes], steps: int) -> None:
        """Continue at home from the last shared parameters, so that the item vectors fit them.

        Raises
        ------
        UserError
            If they do not fit the model.
        """
        self._adopt(tensors)
        for _ in range(steps):
            self.training.step()

    def _check(self, terms: Terms) -> None:
        if terms.layout != self._layout:
            raise UserError(
                "The server's model has other dimensions than this shop's: start both with the same Headrace, and "
                "the server with --text-dimensions and --image-dimensions of the catalogs, or --without-catalog."
            )
        if terms.privacy != self.privacy:
            raise UserError(
                f"The server has clip {terms.privacy.clip:g} and noise {terms.privacy.noise:g}, this shop "
                f"{self.privacy.clip:g} and {self.privacy.noise:g}; start both with the same --clip and --noise."
            )
        spent = self._epsilon(self._record.with_update(self.privacy.noise))
        # a limit that is no number is exceeded
        if not spent <= self._max_epsilon:
            raise UserError(
                f"The update of round {terms.round} would raise epsilon to {spent:.3g}, above {self._max_epsilon:g}; "
                "nothing was given. Start with more --noise, or allow it by --max-epsilon."
            )

    def _adopt(self, tensors: Sequence[bytes]) -> None:
        try:
            self.training.replace_dense(from_tensors(tensors, self._shapes))
        except ValueError as error:
            raise UserError(f"The server sent parameters that cannot be used: {error}.") from None
