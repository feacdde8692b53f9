"""Image encoders by their name on the command line."""

from pathlib import Path
from typing import Final

from stream_app.encoders.efficientnet import POOLED, efficientnet_network, efficientnet_weights
from stream_app.encoders.onnx_image import OnnxImageEncoder
from stream_app.encoders.pictures import Scaling
from stream_app.errors import UserError

PACKAGED_ENCODER: Final = "efficientnet-lite0"
"""The encoder whose weights a package ships."""


def open_image_encoder(
    name: str,
    *,
    layer: str | None = None,
    scaling: Scaling = Scaling.IMAGENET,
    batch: int = 1,
    threads: int = 1,
) -> OnnxImageEncoder:
    """Open an image encoder.

    Parameters
    ----------
    name
        `PACKAGED_ENCODER`, whose layer is the one before the classes by default; or an ONNX file.
    layer, scaling, batch, threads
        As in `OnnxImageEncoder`.

    Raises
    ------
    UserError
        If there is no such encoder, or a package that it needs is not installed.
    """
    if name == PACKAGED_ENCODER:
        network = efficientnet_network()
        return OnnxImageEncoder(
            efficientnet_weights(), layer=layer or POOLED, batch=batch, threads=threads, model=network
        )
    if Path(name).suffix == ".onnx":
        return OnnxImageEncoder(Path(name), layer=layer, scaling=scaling, batch=batch, threads=threads)
    raise UserError(f"There is no image encoder {name!r}; there are {PACKAGED_ENCODER} and files FILE.onnx.")
