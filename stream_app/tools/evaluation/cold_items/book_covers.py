"""Covers of the generated bookshop: patterns in two colors, unlike `stream_app.tools.bench.drawn_pictures`."""

import colorsys
import io
import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.encoders.optional_packages import import_package

HEIGHT: Final = 192
WIDTH: Final = 128

PATTERNS: Final = ("stripes", "checks", "dots", "waves", "rings")
"""Patterns of topics; with the width of their parts they tell topics apart."""

_GOLDEN: Final = 0.618034  # neighboring topics have distant hues

Pixels = NDArray[np.float64]


def draw_cover(
    first_topic: int, second_topic: int, share: float, look: int, rng: np.random.Generator
) -> bytes:
    """Draw a cover as a JPEG file: the pattern of the first topic above that of the second, tinted by the look.

    Parameters
    ----------
    share
        Of the first topic, from 0 to 1: the height of its part.
    rng
        Draws shifts, angles, shades and noise.

    Raises
    ------
    UserError
        If Pillow is not installed.
    """
    images = import_package("PIL.Image", "onnx", "A drawn picture")
    border = round(HEIGHT * share)
    pixels = np.concatenate((_area(first_topic, border, rng), _area(second_topic, HEIGHT - border, rng)))
    # looks differ in brightness and contrast
    contrast, shift = 0.5 + 0.25 * (look % 3), 60.0 * (look // 3) - 30.0
    pixels = 128.0 + (pixels - 128.0) * contrast + shift + rng.normal(0.0, 14.0, pixels.shape)
    stream = io.BytesIO()
    picture: Any = images.fromarray(pixels.clip(0, 255).astype(np.uint8))
    picture.save(stream, "JPEG", quality=80)
    return stream.getvalue()


def _area(topic: int, height: int, rng: np.random.Generator) -> Pixels:
    """A pattern in two colors, shape (height, WIDTH, 3)."""
    hue = (topic * _GOLDEN + rng.normal(0.0, 0.02)) % 1.0
    ink, paper = (_color(hue, 0.8, 0.9), _color((hue + 0.5) % 1.0, 0.25, rng.uniform(0.75, 0.95)))
    is_ink = _pattern(topic, height, rng)
    pixels: Pixels = np.where(is_ink[:, :, None], ink, paper)
    return pixels


def _pattern(topic: int, height: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    kind = PATTERNS[topic % len(PATTERNS)]
    period = 10.0 + 9.0 * (topic // len(PATTERNS) % 4)
    angle = rng.uniform(-0.2, 0.2)
    down, right = np.mgrid[0:height, 0:WIDTH].astype(np.float64)
    x = (right * math.cos(angle) - down * math.sin(angle) + rng.uniform(0, period)) / period
    y = (right * math.sin(angle) + down * math.cos(angle) + rng.uniform(0, period)) / period
    match kind:
        case "stripes":
            found = np.floor(2.0 * x) % 2 == 0
        case "checks":
            found = (np.floor(x) + np.floor(y)) % 2 == 0
        case "dots":
            found = (x % 1.0 - 0.5) ** 2 + (y % 1.0 - 0.5) ** 2 < 0.1
        case "waves":
            found = (y + 0.4 * np.sin(2.0 * math.pi * x)) % 1.0 < 0.5
        case _:
            found = np.hypot(x - x.mean(), y - y.mean()) % 1.0 < 0.5
    result: NDArray[np.bool_] = found
    return result


def _color(hue: float, saturation: float, brightness: float) -> Pixels:
    return 255.0 * np.array(colorsys.hsv_to_rgb(hue, saturation, brightness))
