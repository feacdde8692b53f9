"""A network in an ONNX file, run on the CPU by ONNX Runtime."""

from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.encoders.fingerprint import fingerprint
from stream_app.encoders.optional_packages import import_package
from stream_app.errors import UserError

_ERRORS_ONLY: Final = 3  # severity of ONNX Runtime's own log lines
_TYPES: Final = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}
_EXTERNAL_DATA_FOLDER: Final = "session.model_external_initializers_file_folder_path"


class NetworkInput(NamedTuple):
    """An input of the network."""

    name: str
    shape: tuple[int | None, ...]  # None for a free dimension
    dtype: Any  # of numpy


class OnnxNetwork:
    """A loaded network with its inputs and one output.

    Parameters
    ----------
    path
        The ONNX file.
    layer
        Name of the output, which may be any tensor inside the network; by default the first output.
    model
        The network, if it was made from the file and is not its content.
    threads
        Threads of ONNX Runtime. Vectors are equal for any number in practice; with 1 they are by construction.

    Raises
    ------
    UserError
        If ONNX Runtime is not installed, the file is no network that it can run, or there is no such tensor.
    """

    def __init__(
        self, path: Path, *, layer: str | None = None, threads: int = 1, model: bytes | None = None
    ) -> None:
        runtime = import_package("onnxruntime", "onnx", f"The encoder {path}")
        if not path.is_file():
            raise UserError(f"There is no file {path}; name a network in ONNX format.")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        options.use_deterministic_compute = True
        options.add_session_config_entry(_EXTERNAL_DATA_FOLDER, str(path.resolve().parent))

        def load(network: str | bytes) -> Any:
            return runtime.InferenceSession(network, options, providers=["CPUExecutionProvider"])

        try:
            self._session = load(model or str(path))
            if layer is not None and all(layer != found.name for found in self._session.get_outputs()):
                self._session = load((model or path.read_bytes()) + _graph_output(layer))
        except Exception as error:  # noqa: BLE001  # ONNX Runtime raises errors of many classes
            named = "" if layer is None else f", or has no tensor {layer!r}"
            raise UserError(
                f"{path} is no network that ONNX Runtime can run{named}: {_first_line(error)}."
            ) from None
        self.path: Final = path
        self.output: Final[str] = layer or self._session.get_outputs()[0].name
        self.inputs: Final = tuple(self._input(found) for found in self._session.get_inputs())
        # weights may be in files beside the network: model.onnx.data, model.onnx_data
        files = [path, *sorted(file for file in path.parent.glob(f"{path.name}[._]*") if file.is_file())]
        made = None if model is None else blake2b(model, digest_size=16).hexdigest()
        self.fingerprint: Final = fingerprint(["onnx", self.output, made], files)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Compute the output.

        Raises
        ------
        UserError
            If the network does not accept the inputs.
        """
        try:
            [output] = self._session.run([self.output], dict(inputs))
        except Exception as error:  # noqa: BLE001  # as above
            shapes = ", ".join(f"{name} {values.shape}" for name, values in inputs.items())
            raise UserError(f"{self.path} fails on the inputs {shapes}: {_first_line(error)}.") from None
        if not isinstance(output, np.ndarray) or output.dtype.kind not in "fiu":
            raise UserError(
                f"The output {self.output} of {self.path} is no tensor of numbers; name another by --layer."
            )
        return output

    def _input(self, found: Any) -> NetworkInput:
        dtype = _TYPES.get(found.type)
        if dtype is None:
            raise UserError(
                f"The input {found.name} of {self.path} is a {found.type}, which is not supported."
            )
        shape = tuple(size if isinstance(size, int) and size > 0 else None for size in found.shape)
        return NetworkInput(found.name, shape, dtype)


def _graph_output(name: str) -> bytes:
    r"""The bytes that add an output to a network when they follow it.

    An ONNX file is one protobuf message, and messages that follow each other are merged: this one is
    ``ModelProto(graph=GraphProto(output=[ValueInfoProto(name=name)]))``, with field numbers 7, 12 and 1.

    Examples
    --------
    >>> _graph_output("pool")
    b':\x08b\x06\n\x04pool'
    """
    message = name.encode()
    for field in (1, 12, 7):
        message = bytes([field << 3 | 2]) + _varint(len(message)) + message
    return message


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
