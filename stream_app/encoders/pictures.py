"""Picture files as tensors for a network."""

import io
import warnings
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.encoders.optional_packages import import_package
from stream_app.models.array_types import Matrix

MAX_PIXELS: Final = 64_000_000
"""A larger picture is rejected before it is decoded, so that a small file cannot fill the memory."""

_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""Formats that are decoded by code for pictures alone; some others start programs."""

_RESIZE: Final = 256 / 224
"""Shorter side before the crop, relative to the crop: the usual evaluation on ImageNet."""


class Scaling(StrEnum):
    """How a network wants the values of pixels."""

    IMAGENET = "imagenet"  # mean 0, deviation 1 over ImageNet, by channel
    CLIP = "clip"  # the same over the pictures that CLIP learned from
    UNIT = "unit"  # 0 to 1
    SYMMETRIC = "symmetric"  # -1 to 1
    BYTES = "bytes"  # 0 to 255


_STATISTICS: Final = {  # mean and deviation by channel
    Scaling.IMAGENET: np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], np.float32),
    Scaling.CLIP: np.array(
        [[0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]], np.float32
    ),
}


class UnreadablePictureError(Exception):
    """A file is no picture, is damaged, or is too large; the message says which."""


def read_picture(data: bytes, height: int, width: int, scaling: Scaling) -> Matrix:
    """Decode a picture, resize and crop it around its center, and scale its values.

    The orientation of a camera is applied, transparency becomes white, and of an animation the first picture is used.

    Returns
    -------
    ndarray of float32, shape (3, height, width)
        Red, green and blue.

    Raises
    ------
    UnreadablePictureError
        If the data is no picture.
    UserError
        If Pillow is not installed.
    """
    images = import_package("PIL.Image", "onnx", "A picture")
    operations = import_package("PIL.ImageOps", "onnx", "A picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large or odd pictures, which are handled here
            with images.open(io.BytesIO(data), formats=_FORMATS) as picture:
                _check_size(picture)
                larger = round(_RESIZE * height), round(_RESIZE * width)
                picture.draft("RGB", (larger[1], larger[0]))  # a JPEG is decoded at a fraction of its size
                upright = operations.exif_transpose(picture)
                cropped = _crop(_on_white(upright, images), larger, (height, width), images)
    except UnreadablePictureError:
        raise
    except Exception as error:  # noqa: BLE001  # decoders raise errors of many classes for damaged files
        reason = str(error) or type(error).__name__
        raise UnreadablePictureError("no picture" if "cannot identify" in reason else reason) from None
    return _scale(np.asarray(cropped, np.float32), scaling)


def _check_size(picture: Any) -> None:
    if picture.width * picture.height > MAX_PIXELS:
        raise UnreadablePictureError(f"{picture.width} by {picture.height} pixels are too many")


def _on_white(picture: Any, images: Any) -> Any:
    if picture.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = images.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = images.alpha_composite(white, picture)
    elif picture.mode.startswith("I") or picture.mode == "F":  # 16 or more bits of gray
        values = np.asarray(picture, np.float64)
        low, high = float(values.min()), float(values.max())
        picture = images.fromarray(((values - low) / max(high - low, 1e-9) * 255).astype(np.uint8))
    return picture.convert("RGB")


def _crop(picture: Any, larger: tuple[int, int], size: tuple[int, int], images: Any) -> Any:
    """The middle of the picture, scaled so that it covers the larger size."""
    factor = max(larger[0] / picture.height, larger[1] / picture.width)
    width, height = size[1] / factor, size[0] / factor
    left, top = (picture.width - width) / 2, (picture.height - height) / 2
    box = (max(0.0, left), max(0.0, top), min(picture.width, left + width), min(picture.height, top + height))
    return picture.resize((size[1], size[0]), images.Resampling.BICUBIC, box=box, reducing_gap=3.0)


def _scale(pixels: Matrix, scaling: Scaling) -> Matrix:
    values: NDArray[np.floating] = pixels
    match scaling:
        case Scaling.IMAGENET | Scaling.CLIP:
            mean, deviation = _STATISTICS[scaling]
            values = (values / 255 - mean) / deviation
        case Scaling.UNIT:
            values = values / 255
        case Scaling.SYMMETRIC:
            values = values / 127.5 - 1
        case Scaling.BYTES:
            pass
    return np.ascontiguousarray(values.transpose(2, 0, 1), np.float32)
