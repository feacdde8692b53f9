"""Gives bytes to the decoders, guided by the code that they reach: ``python -m tests.fuzz.coverage_guided``.

It needs Atheris (``pip install atheris``); `make fuzz` runs it if it is installed. Arguments are those of libFuzzer
(``-runs=100000 -seed=1 FOLDER``); bytes that raise an exception are written to the folder ``build/fuzz``.
"""

import logging
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.support import ROOT

_INSTRUMENTED: Final = (
    "stream_app.client",
    "stream_app.kafka",
    "stream_app.publishing",
    "stream_app.worker",
    "stream_app.experiment.control",
    "stream_app.tools.dead_letter_selection",
)
"""Modules of the application that read bytes, and hold no kernels; besides `topics` and `state`."""


def write_examples(folder: Path) -> None:
    """Write valid bytes for each decoder, after the number of the decoder, to start from."""
    from tests.fuzz.decoders import examples

    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, values) in enumerate(examples().items()):
        for index, value in enumerate(values):
            (folder / f"{number:02}-{index}-{name.replace(' ', '_')}").write_bytes(bytes((number,)) + value)


def _not_instrumented() -> list[str]:
    """Modules that hold or call compiled kernels: numba cannot compile what Atheris adds to them."""
    names = [
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        for path in (ROOT / "stream_app").rglob("*.py")
    ]
    return [name for name in names if not name.startswith(_INSTRUMENTED)]


def main(arguments: list[str]) -> None:
    """Fuzz; ends the process."""
    if find_spec("atheris") is None:
        raise SystemExit("atheris is not installed; install it with `pip install atheris`")
    atheris: Any = import_module("atheris")
    with atheris.instrument_imports(include=["topics", "state", "stream_app"], exclude=_not_instrumented()):
        from tests.fuzz.decoders import build_decoders
    logging.disable(logging.CRITICAL)
    with TemporaryDirectory() as folder:
        decoders = list(build_decoders(Path(folder)).values())

        def read(data: bytes) -> None:
            if data:
                decoders[data[0] % len(decoders)](data[1:])

        atheris.Setup([sys.argv[0], *arguments], read)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
