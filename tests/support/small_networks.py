"""Small networks in ONNX files, made by the tests, with seeded weights."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import tokenizers
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

CHANNELS: Final = 6
CLASSES: Final = 4
WORDS: Final = ("[UNK]", "red", "blue", "tent", "shoe", "sock", "bag")
"""Vocabulary of the text network, by token id."""


def write_image_network(
    path: Path,
    *,
    seed: int = 7,
    batch: int | str = "n",
    side: int | str = 32,
    channels_last: bool = False,
    input_type: int = TensorProto.FLOAT,
    scale: float = 1.0,
) -> Path:
    """A CNN: convolution, ReLU (tensor `features`), mean over the picture (`pool`), and `classes`, the output.

    The output is multiplied by `scale`: with 0 or NaN it has no direction.
    """
    rng = np.random.default_rng(seed)
    shape = [batch, side, side, 3] if channels_last else [batch, 3, side, side]
    nodes = [helper.make_node("Cast", ["picture"], ["numbers"], to=TensorProto.FLOAT)]
    if channels_last:
        nodes.append(helper.make_node("Transpose", ["numbers"], ["first"], perm=[0, 3, 1, 2]))
    pixels = "first" if channels_last else "numbers"
    nodes += [
        helper.make_node("Conv", [pixels, "kernel", "bias"], ["linear"], kernel_shape=[3, 3], strides=[2, 2]),
        helper.make_node("Relu", ["linear"], ["features"]),
        helper.make_node("GlobalAveragePool", ["features"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["pool"]),
        helper.make_node("MatMul", ["pool", "matrix"], ["classes"]),
    ]
    return _write(
        path,
        nodes,
        [helper.make_tensor_value_info("picture", input_type, shape)],
        [helper.make_tensor_value_info("classes", TensorProto.FLOAT, [batch, CLASSES])],
        {
            "kernel": rng.normal(0, 0.5, (CHANNELS, 3, 3, 3)).astype(np.float32),
            "bias": rng.normal(0, 0.5, CHANNELS).astype(np.float32),
            "matrix": (scale * rng.normal(0, 1, (CHANNELS, CLASSES))).astype(np.float32),
        },
    )


def write_constant_network(path: Path) -> Path:
    """A network without inputs."""
    value = numpy_helper.from_array(np.ones((1, CLASSES), np.float32))
    return _write(
        path,
        [helper.make_node("Constant", [], ["classes"], value=value)],
        [],
        [helper.make_tensor_value_info("classes", TensorProto.FLOAT, [1, CLASSES])],
        {},
    )


def write_text_network(folder: Path, *, vectors: NDArray[np.float32] | None = None) -> Path:
    """A network that gives the vector of each token of `WORDS`, and the tokenizer beside it."""
    write_tokenizer(folder / "tokenizer.json")
    table = np.eye(len(WORDS), dtype=np.float32) if vectors is None else vectors
    names = ("input_ids", "attention_mask")
    return _write(
        folder / "model.onnx",
        [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])],
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "t"]) for name in names],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["n", "t", table.shape[1]])],
        {"table": table},
    )


def write_tokenizer(path: Path) -> None:
    """A tokenizer of whole words, those of `WORDS`."""
    model = tokenizers.models.WordLevel(
        {word: number for number, word in enumerate(WORDS)}, unk_token=WORDS[0]
    )
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(path))


def _write(
    path: Path,
    nodes: list[Any],
    inputs: list[Any],
    outputs: list[Any],
    weights: dict[str, NDArray[np.float32]],
) -> Path:
    tensors = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    graph = helper.make_graph(nodes, "network", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path
