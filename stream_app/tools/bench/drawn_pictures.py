"""Drawn pictures of products: the type is a figure, the style a color; position, size, angle and background vary."""

import io
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from stream_app.encoders.optional_packages import import_package

SIDE: Final = 160
"""Height and width in pixels."""

SHAPES: Final = ("ellipse", "rectangle", "triangle", "star", "ring", "cross")
"""Shapes that drawings are made of."""

LAYOUTS: Final[tuple[tuple[tuple[float, float, float], ...], ...]] = (
    ((0.0, 0.0, 0.9),),
    ((-0.5, 0.0, 0.5), (0.5, 0.0, 0.5)),
    ((0.0, -0.5, 0.5), (0.0, 0.5, 0.5)),
    ((-0.5, -0.5, 0.42), (0.5, -0.5, 0.42), (-0.5, 0.5, 0.42), (0.5, 0.5, 0.42)),
    ((-0.25, 0.2, 0.7), (0.7, -0.7, 0.3)),
)
"""Where the shapes of a figure are: x, y and radius, relative to the figure's radius."""

COLORS: Final = (
    (214, 60, 60), (230, 150, 40), (220, 205, 60), (70, 160, 70), (60, 170, 180), (60, 90, 200), (140, 70, 170),
    (90, 90, 90),
)  # fmt: skip
"""Colors of styles."""


def draw_picture(kind: int, style: int, rng: np.random.Generator) -> bytes:
    """Draw a product as a PNG file.

    Parameters
    ----------
    kind
        Number of the type, from 0 to ``len(SHAPES) * len(LAYOUTS) - 1``.
    style
        Number of the style, an index of `COLORS`.
    rng
        Draws position, size, angle, shade and background.

    Raises
    ------
    UserError
        If Pillow is not installed.
    """
    images = import_package("PIL.Image", "onnx", "A drawn picture")
    drawing = import_package("PIL.ImageDraw", "onnx", "A drawn picture")
    shape, layout = SHAPES[kind % len(SHAPES)], LAYOUTS[kind // len(SHAPES)]
    shade, ground = rng.uniform(0.8, 1.2), rng.integers(150, 256, 3)
    noise = rng.normal(ground, 12, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
    picture = images.fromarray(noise)
    color = tuple(int(min(255, value * shade)) for value in COLORS[style])
    radius = SIDE * rng.uniform(0.25, 0.4)
    x, y = rng.uniform(radius, SIDE - radius, 2)
    angle = rng.uniform(-0.4, 0.4)
    pen = drawing.Draw(picture)
    for right, down, size in layout:
        turned_x = right * math.cos(angle) - down * math.sin(angle)
        turned_y = right * math.sin(angle) + down * math.cos(angle)
        _draw_shape(pen, shape, (x + radius * turned_x, y + radius * turned_y, radius * size), angle, color)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def _draw_shape(
    pen: Any, shape: str, circle: tuple[float, float, float], angle: float, color: tuple[int, ...]
) -> None:
    x, y, radius = circle
    box = (x - radius, y - radius, x + radius, y + radius)
    match shape:
        case "ellipse":
            pen.ellipse(box, fill=color)
        case "ring":
            pen.ellipse(box, outline=color, width=max(2, round(radius / 3)))
        case "rectangle":
            pen.polygon(_corners(circle, angle + math.pi / 4, [1.0] * 4), fill=color)
        case "triangle":
            pen.polygon(_corners(circle, angle - math.pi / 2, [1.0] * 3), fill=color)
        case "star":
            pen.polygon(_corners(circle, angle - math.pi / 2, [1.0, 0.4] * 5), fill=color)
        case _:
            for turn in (0.0, math.pi / 2):
                pen.line(
                    _corners(circle, angle + turn, [1.0, 1.0]), fill=color, width=max(3, round(radius / 2))
                )


def _corners(
    circle: tuple[float, float, float], angle: float, distances: Sequence[float]
) -> list[tuple[float, float]]:
    """Points around the center of a circle, at distances relative to its radius."""
    x, y, radius = circle
    step = 2 * math.pi / len(distances)
    return [
        (
            x + radius * far * math.cos(angle + step * number),
            y + radius * far * math.sin(angle + step * number),
        )
        for number, far in enumerate(distances)
    ]
