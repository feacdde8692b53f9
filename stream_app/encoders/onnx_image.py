"""Pictures by a network in an ONNX file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.encoders.fingerprint import fingerprint
from stream_app.encoders.onnx_network import NetworkInput, OnnxNetwork
from stream_app.encoders.pictures import Scaling, read_picture
from stream_app.errors import UserError
from stream_app.models.array_types import Matrix
from stream_app.models.item_content import unit_vector

DEFAULT_SIDE: Final = 224
"""Height and width of pictures where the network leaves them open, in pixels."""

MAX_PIXELS_PER_RUN: Final = 64 * 2**20
"""Of a larger batch the values alone take 768 MB."""

_DECODER_VERSION: Final = 1


class OnnxImageEncoder:
    """A picture in, one vector out: an output per picture as it is, a feature map or tokens as their mean.

    The network has one input of four dimensions, with the three channels second or last; size, type and number of
    pictures per run are its own. It always runs on full batches, the last one padded by zeros: the vector of a
    picture then does not depend on how many others are left.

    Parameters
    ----------
    path
        The ONNX file.
    layer
        Name of the output, any tensor inside the network; by default its first output. Of a classifier the layer
        before the classes says more about a picture than the classes do.
    scaling
        How the network wants the values of pixels.
    batch
        Pictures per run, if the network leaves it open.
    threads, model
        As in `OnnxNetwork`.

    Raises
    ------
    UserError
        If ONNX Runtime is not installed, or the network is none for pictures.
    """

    def __init__(
        self,
        path: Path,
        *,
        layer: str | None = None,
        scaling: Scaling = Scaling.IMAGENET,
        batch: int = 1,
        threads: int = 1,
        model: bytes | None = None,
    ) -> None:
        self._network = OnnxNetwork(path, layer=layer, threads=threads, model=model)
        input_ = self._picture_input()
        shape = input_.shape
        self._input = input_
        self._channels_last = shape[1] != 3
        height, width = shape[1:3] if self._channels_last else shape[2:4]
        self._size = height or DEFAULT_SIDE, width or DEFAULT_SIDE
        self._scaling = Scaling.BYTES if input_.dtype == np.uint8 else scaling
        self.batch: Final = shape[0] or batch
        if self.batch * self._size[0] * self._size[1] > MAX_PIXELS_PER_RUN:
            raise UserError(
                f"{path} takes {self.batch:,} pictures of {self._size[0]:,} x {self._size[1]:,} pixels per run, more "
                f"than {MAX_PIXELS_PER_RUN:,} pixels; name another network, or a smaller --batch."
            )
        self.name: Final = str(path)
        self.fingerprint: Final = fingerprint(
            [self._network.fingerprint, self._size, str(self._scaling), self.batch, _DECODER_VERSION], []
        )
        blank = np.zeros((3, *self._size), np.float32)
        self.dimensions: Final[int] = self.encode([blank]).shape[1]

    def _picture_input(self) -> NetworkInput:
        inputs = self._network.inputs
        if len(inputs) == 1 and len(inputs[0].shape) == 4 and 3 in {inputs[0].shape[1], inputs[0].shape[3]}:
            return inputs[0]
        found = ", ".join(f"{each.name} {each.shape}" for each in inputs)
        raise UserError(
            f"{self._network.path} has {f'the inputs {found}' if inputs else 'no inputs'}; an image encoder has one, "
            "with 3 channels second or last."
        )

    def read(self, data: bytes) -> Matrix:
        """Decode a picture file for this network; float32, shape (3, height, width).

        Raises
        ------
        UnreadablePictureError
            If the data is no picture.
        """
        return read_picture(data, *self._size, self._scaling)

    def encode(self, pictures: Sequence[Matrix]) -> Matrix:
        """Encode pictures that `read` returned.

        Returns
        -------
        ndarray of float32, shape (len(pictures), dimensions)
            Rows of length 1; zeros for a picture on which the network gives no finite values.
        """
        vectors = [
            self._encode_batch(pictures[start : start + self.batch])
            for start in range(0, len(pictures), self.batch)
        ]
        return np.concatenate(vectors)

    def _encode_batch(self, pictures: Sequence[Matrix]) -> Matrix:
        batch = np.zeros((self.batch, 3, *self._size), np.float32)
        batch[: len(pictures)] = pictures
        if self._channels_last:
            batch = np.ascontiguousarray(batch.transpose(0, 2, 3, 1))
        if self._input.dtype == np.uint8:
            batch = batch.round()
        output = self._network.run({self._input.name: batch.astype(self._input.dtype)})
        return np.stack([unit_vector(row) for row in self._pool(output)[: len(pictures)]])

    def _pool(self, output: NDArray[Any]) -> NDArray[np.float64]:
        values: NDArray[np.float64] = output.astype(np.float64)
        if values.ndim == 4:
            values = values.mean(
                axis=(1, 2) if self._channels_last and values.shape[1] == values.shape[2] else (2, 3)
            )
        elif values.ndim == 3:
            values = values.mean(axis=1)
        if values.ndim != 2 or len(values) != self.batch:
            raise UserError(
                f"The output {self._network.output} of {self.name} is {output.shape} for {self.batch} pictures; "
                "an image encoder gives a vector, a feature map or tokens for each. Name another by --layer."
            )
        return values
