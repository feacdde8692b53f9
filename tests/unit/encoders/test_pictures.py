"""Picture files as tensors."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stream_app.encoders import pictures
from stream_app.encoders.pictures import Scaling, UnreadablePictureError, read_picture
from stream_app.models.array_types import Matrix
from stream_app.tools.cli.embed import PixelScaling


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def read(data: bytes, scaling: Scaling = Scaling.UNIT) -> Matrix:
    return read_picture(data, 16, 24, scaling)


RED = Image.new("RGB", (40, 30), (255, 0, 0))


@pytest.mark.parametrize(
    ("scaling", "red", "other"),
    [
        (Scaling.UNIT, 1.0, 0.0),
        (Scaling.SYMMETRIC, 1.0, -1.0),
        (Scaling.BYTES, 255.0, 0.0),
        (Scaling.IMAGENET, (1 - 0.485) / 0.229, -0.456 / 0.224),
        (Scaling.CLIP, (1 - 0.48145466) / 0.26862954, -0.4578275 / 0.26130258),
    ],
)
def test_values_are_scaled(scaling: Scaling, red: float, other: float) -> None:
    tensor = read(encoded(RED), scaling)
    assert tensor.shape == (3, 16, 24)
    assert tensor.dtype == np.float32
    np.testing.assert_allclose(tensor[0], red, rtol=1e-5)
    np.testing.assert_allclose(tensor[1], other, rtol=1e-5)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encoded(RED, "JPEG", quality=95), id="jpeg"),
        pytest.param(encoded(RED, "WEBP", lossless=True), id="webp"),
        pytest.param(encoded(RED.convert("P"), "GIF"), id="gif"),
        pytest.param(encoded(RED.convert("RGBA")), id="opaque png"),
        pytest.param(encoded(RED.convert("CMYK"), "JPEG", quality=95), id="cmyk"),
        pytest.param(encoded(RED, "TIFF"), id="tiff"),
        pytest.param(encoded(Image.new("RGB", (400, 3), (255, 0, 0))), id="very wide"),
        pytest.param(encoded(Image.new("RGB", (1, 1), (255, 0, 0))), id="one pixel"),
    ],
)
def test_formats_and_shapes(data: bytes) -> None:
    tensor = read(data)
    assert tensor[0].min() > 0.95
    assert tensor[1:].max() < 0.05


def test_transparency_is_white() -> None:
    assert read(encoded(Image.new("RGBA", (20, 20), (255, 0, 0, 0)))).min() == 1.0


def test_gray_pictures_of_16_bits_keep_their_contrast() -> None:
    values = np.linspace(0, 60_000, 400).reshape(20, 20).astype(np.uint16)
    tensor = read(encoded(Image.fromarray(values)))
    assert tensor[:, -1].mean() > tensor[:, 0].mean() + 0.5


def test_the_middle_is_kept() -> None:
    picture = Image.new("RGB", (300, 100), (0, 0, 255))
    picture.paste((255, 0, 0), (100, 0, 200, 100))
    tensor = read_picture(encoded(picture), 16, 16, Scaling.UNIT)
    assert tensor[0].min() > 0.95


def test_the_orientation_of_a_camera_is_applied() -> None:
    picture = Image.new("RGB", (64, 64), (0, 0, 255))
    picture.paste((255, 0, 0), (0, 0, 64, 32))  # the upper half
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180°
    tensor = read_picture(encoded(picture, "JPEG", exif=exif, quality=95), 16, 16, Scaling.UNIT)
    assert tensor[0, -1].mean() > tensor[0, 0].mean() + 0.8


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>not found</html>", id="a page"),
        pytest.param(encoded(RED)[:60], id="cut"),
        pytest.param(encoded(RED, "JPEG")[:100], id="cut jpeg"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", id="a program"),
    ],
)
def test_what_is_no_picture_is_reported(data: bytes) -> None:
    with pytest.raises(UnreadablePictureError, match=r"."):
        read(data)


def test_a_picture_with_too_many_pixels_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_PIXELS", 40 * 30 - 1)
    with pytest.raises(UnreadablePictureError, match="40 by 30 pixels"):
        read(encoded(RED))


def test_the_command_line_has_the_same_scalings() -> None:
    assert [*PixelScaling] == [*map(str, Scaling)]
