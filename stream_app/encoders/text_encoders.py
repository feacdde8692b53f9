"""Text encoders by their name on the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from stream_app.encoders.onnx_text import OnnxTextEncoder
from stream_app.encoders.static_text import open_static_folder, open_wordllama
from stream_app.encoders.universal_text import UniversalTextEncoder
from stream_app.errors import UserError
from stream_app.models.text_encoder import TextEncoder

PACKAGED_ENCODERS: Final[dict[str, Callable[[], TextEncoder]]] = {
    "universal": UniversalTextEncoder,
    "wordllama": open_wordllama,
}
"""Encoders whose weights a package ships."""


def open_text_encoder(name: str, *, threads: int = 1) -> TextEncoder:
    """Open a text encoder.

    Parameters
    ----------
    name
        A key of `PACKAGED_ENCODERS`; an ONNX file with its tokenizer beside it; or a folder of static word vectors
        (`model.safetensors`, `tokenizer.json`).
    threads
        Threads of ONNX Runtime.

    Raises
    ------
    UserError
        If there is no such encoder, or a package that it needs is not installed.
    """
    if name in PACKAGED_ENCODERS:
        return PACKAGED_ENCODERS[name]()
    path = Path(name)
    if path.is_dir():
        return open_static_folder(path)
    if path.suffix == ".onnx":
        return OnnxTextEncoder(path, threads=threads)
    raise UserError(
        f"There is no text encoder {name!r}; there are {', '.join(PACKAGED_ENCODERS)}, files FILE.onnx with a "
        "tokenizer.json beside them, and folders with model.safetensors and tokenizer.json."
    )
