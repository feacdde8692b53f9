"""Texts by a transformer in an ONNX file, with the tokenizer beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.encoders.fingerprint import fingerprint
from stream_app.encoders.onnx_network import OnnxNetwork
from stream_app.encoders.optional_packages import import_package
from stream_app.errors import UserError
from stream_app.models.array_types import Matrix, Scores
from stream_app.models.item_content import unit_vector

MAX_TOKENS: Final = 256
"""Word pieces of a text that are used."""

_IDS: Final = "input_ids"
_MASK: Final = "attention_mask"


class OnnxTextEncoder:
    """Token ids in, one vector out: an output per text as it is, an output per token as its mean over the text.

    The inputs are `input_ids` and, if the network has them, `attention_mask` and `token_type_ids`, as exported
    sentence transformers have them. Each text is run by itself: its vector then does not depend on the padding that
    other texts need.

    Parameters
    ----------
    path
        The ONNX file; `tokenizer.json` is in its folder or in the one above.
    layer
        Name of the output; by default the first one.

    Raises
    ------
    UserError
        If a package or file is missing, or the network has other inputs.
    """

    def __init__(self, path: Path, *, layer: str | None = None, threads: int = 1) -> None:
        tokenizers = import_package("tokenizers", "onnx", f"The text encoder {path}")
        self._network = OnnxNetwork(path, layer=layer, threads=threads)
        names = {each.name for each in self._network.inputs}
        if _IDS not in names or not names <= {_IDS, _MASK, "token_type_ids"}:
            raise UserError(
                f"{path} has the inputs {', '.join(sorted(names))}; a text encoder has {_IDS}, and may have {_MASK} "
                "and token_type_ids."
            )
        tokenizer = _find_tokenizer(path)
        try:
            self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(tokenizer))
        except Exception as error:  # noqa: BLE001  # tokenizers raises nothing narrower
            raise UserError(f"{tokenizer} is no tokenizer: {error}.") from None
        [ids] = (each for each in self._network.inputs if each.name == _IDS)
        self._fixed_length = ids.shape[1] if len(ids.shape) == 2 else None
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self._fixed_length or MAX_TOKENS)
        self.name: Final = str(path)
        self.fingerprint: Final = fingerprint([self._network.fingerprint, MAX_TOKENS], [tokenizer])
        self.dimensions: Final = len(self._encode("item"))

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Encode texts; rows of length 1, zeros for an empty text."""
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            if text.strip():
                row[:] = self._encode(text)
        return vectors

    def _encode(self, text: str) -> Scores:
        ids = self._tokenizer.encode(text).ids
        length = self._fixed_length or max(1, len(ids))
        mask = np.zeros((1, length), np.int64)
        mask[0, : len(ids)] = 1
        padded = np.zeros((1, length), np.int64)
        padded[0, : len(ids)] = ids
        values = {_IDS: padded, _MASK: mask}
        inputs = {
            each.name: values.get(each.name, np.zeros((1, length), np.int64)).astype(each.dtype)
            for each in self._network.inputs
        }
        return unit_vector(self._pool(self._network.run(inputs), mask[0]))

    def _pool(self, output: NDArray[Any], mask: NDArray[np.int64]) -> NDArray[np.float64]:
        values: NDArray[np.float64] = output.astype(np.float64)
        if values.ndim == 2 and values.shape[0] == 1:
            row: NDArray[np.float64] = values[0]
            return row
        if values.ndim == 3 and values.shape[:2] == (1, len(mask)):
            mean: NDArray[np.float64] = values[0, mask == 1].mean(axis=0)
            return mean
        raise UserError(
            f"The output {self._network.output} of {self.name} has shape {output.shape}; a text encoder gives "
            "(1, dimensions) or (1, tokens, dimensions)."
        )


def _find_tokenizer(path: Path) -> Path:
    for folder in (path.resolve().parent, path.resolve().parent.parent):
        if (folder / "tokenizer.json").is_file():
            return folder / "tokenizer.json"
    raise UserError(
        f"There is no tokenizer.json beside {path}; copy the one that the network was trained with."
    )
