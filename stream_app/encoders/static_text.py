"""Texts as means of word-piece vectors: a table, a tokenizer and no network."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.encoders.fingerprint import fingerprint
from stream_app.encoders.optional_packages import import_package
from stream_app.errors import UserError
from stream_app.models.array_types import Matrix
from stream_app.models.item_content import unit_vector

MAX_TOKENS: Final = 512
"""Word pieces of a text that are used."""

_WORDLLAMA_WEIGHTS: Final = "weights/l2_supercat_256.safetensors"
_WORDLLAMA_TOKENIZER: Final = "tokenizers/l2_supercat_tokenizer_config.json"


class StaticTextEncoder:
    """The mean of the vectors of a text's word pieces, scaled to length 1.

    Parameters
    ----------
    tokenizer
        A `tokenizers.Tokenizer`.
    table : ndarray of float16 or float32, shape (pieces, dimensions)
        A vector per word piece; pieces without a row are ignored.
    weights : ndarray, shape (pieces,), optional
        Weight of each piece in the mean; 1 by default.

    References
    ----------
    Miller: WordLlama, 2024 (github.com/dleemiller/WordLlama). Tulkens, van Dongen: Model2Vec, 2024.
    """

    def __init__(
        self,
        name: str,
        tokenizer: Any,
        table: NDArray[np.floating],
        *,
        weights: NDArray[np.floating] | None = None,
        fingerprint: str,
    ) -> None:
        if table.ndim != 2 or not table.size:
            raise UserError(
                f"The table of word vectors of {name} has shape {table.shape}, not (pieces, dimensions)."
            )
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.name: Final = name
        self.dimensions: Final = int(table.shape[1])
        self.fingerprint: Final = fingerprint
        self._tokenizer = tokenizer
        self._table = table
        self._weights = weights

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Encode texts; rows of length 1, zeros for a text without a known word piece."""
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            pieces = self._tokenizer.encode(text, add_special_tokens=False).ids[:MAX_TOKENS]
            ids = np.array([piece for piece in pieces if piece < len(self._table)], np.int64)
            if len(ids):
                found = self._table[ids].astype(np.float32)
                if self._weights is not None:
                    found *= self._weights[ids, None]
                row[:] = unit_vector(found.sum(axis=0))
        return vectors


def open_wordllama() -> StaticTextEncoder:
    """The encoder of the package wordllama: 256 dimensions, English for the most part.

    Only its two data files are read: its own loader looks for the tokenizer on the network.

    Raises
    ------
    UserError
        If a package is missing, or has no such files.
    """
    purpose = "The text encoder wordllama"
    tokenizers = import_package("tokenizers", "text", purpose)
    safetensors = import_package("safetensors.numpy", "text", purpose)
    spec = find_spec("wordllama")  # not imported: its import needs packages that the files do not
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"{purpose} needs the package wordllama, which is not installed: pip install 'headrace[text]'."
        )
    folder = Path(spec.submodule_search_locations[0])
    weights, tokenizer = folder / _WORDLLAMA_WEIGHTS, folder / _WORDLLAMA_TOKENIZER
    try:
        [table] = safetensors.load_file(weights).values()
        return StaticTextEncoder(
            "wordllama",
            tokenizers.Tokenizer.from_file(str(tokenizer)),
            table,
            fingerprint=fingerprint(["static", MAX_TOKENS], [weights, tokenizer]),
        )
    except Exception as error:  # noqa: BLE001  # tokenizers raises nothing narrower
        raise UserError(
            f"{purpose} cannot read {weights} and {tokenizer}: {error}; install it again."
        ) from None


def open_static_folder(folder: Path) -> StaticTextEncoder:
    """An encoder from a folder as Model2Vec writes it: `model.safetensors` and `tokenizer.json`.

    Raises
    ------
    UserError
        If a package or file is missing, or a file is not of this form.
    """
    purpose = f"The text encoder {folder}"
    tokenizers = import_package("tokenizers", "text", purpose)
    safetensors = import_package("safetensors.numpy", "text", purpose)
    model, tokenizer = folder / "model.safetensors", folder / "tokenizer.json"
    for file in (model, tokenizer):
        if not file.is_file():
            raise UserError(
                f"There is no {file}; a folder of static word vectors has {model.name} and {tokenizer.name}."
            )
    try:
        tensors = safetensors.load_file(model)
        tokens = tokenizers.Tokenizer.from_file(str(tokenizer))
    except Exception as error:  # noqa: BLE001  # tokenizers raises nothing narrower
        raise UserError(f"{purpose} cannot be read: {error}; write it again with Model2Vec.") from None
    if "embeddings" not in tensors:
        raise UserError(f"{model} has no tensor `embeddings` (it has {', '.join(sorted(tensors))}).")
    table = tensors["embeddings"]
    if "mapping" in tensors:  # Model2Vec's quantized vocabularies: a row for several pieces
        table = table[tensors["mapping"]]
    return StaticTextEncoder(
        str(folder),
        tokens,
        table,
        weights=tensors.get("weights"),
        fingerprint=fingerprint(["static", MAX_TOKENS], [model, tokenizer]),
    )
