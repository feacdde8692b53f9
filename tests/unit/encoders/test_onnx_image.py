"""Pictures by small networks of the test."""

import io
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from PIL import Image

from stream_app.encoders.onnx_image import OnnxImageEncoder
from stream_app.encoders.pictures import Scaling
from stream_app.errors import UserError
from stream_app.models.array_types import Matrix
from tests.support.small_networks import (
    CHANNELS,
    CLASSES,
    write_constant_network,
    write_image_network,
    write_text_network,
)


def picture(seed: int, side: int = 48) -> bytes:
    values = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


def encode(encoder: OnnxImageEncoder, *seeds: int) -> Matrix:
    return encoder.encode([encoder.read(picture(seed)) for seed in seeds])


def test_vectors_have_length_one_and_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    encoder = OnnxImageEncoder(write_image_network(tmp_path / "cnn.onnx"), batch=3)
    vectors = encode(encoder, 1, 2, 3, 4)
    assert vectors.shape == (4, CLASSES)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(vectors[[3]], encode(encoder, 4))
    assert not np.allclose(vectors[0], vectors[1])


def test_the_layer_is_any_tensor_of_the_network(tmp_path: Path) -> None:
    path = write_image_network(tmp_path / "cnn.onnx")
    pool, features = (OnnxImageEncoder(path, layer=layer) for layer in ("pool", "features"))
    assert pool.dimensions == CHANNELS
    # a feature map is averaged over the picture, as the pooling of the network does
    np.testing.assert_allclose(encode(features, 1), encode(pool, 1), atol=1e-6)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
def test_a_network_may_fix_batch_size_and_order_of_channels(
    tmp_path: Path, channels_last: bool, batch: int
) -> None:
    usual = OnnxImageEncoder(write_image_network(tmp_path / "usual.onnx"))
    path = write_image_network(tmp_path / "fixed.onnx", batch=batch, channels_last=channels_last)
    encoder = OnnxImageEncoder(path, batch=7)
    assert encoder.batch == batch
    np.testing.assert_allclose(encode(encoder, 1, 2, 3), encode(usual, 1, 2, 3), atol=1e-5)


def test_a_network_of_bytes_gets_bytes(tmp_path: Path) -> None:
    path = write_image_network(tmp_path / "bytes.onnx", input_type=TensorProto.UINT8)
    floats = OnnxImageEncoder(write_image_network(tmp_path / "floats.onnx"), scaling=Scaling.BYTES)
    np.testing.assert_allclose(encode(OnnxImageEncoder(path), 5), encode(floats, 5), atol=0.02)


def test_a_network_without_a_size_gets_224_pixels(tmp_path: Path) -> None:
    encoder = OnnxImageEncoder(write_image_network(tmp_path / "free.onnx", side="side"))
    assert encoder.read(picture(1)).shape == (3, 224, 224)


def test_the_fingerprint_tells_weights_layers_and_scalings_apart(tmp_path: Path) -> None:
    one, other = (write_image_network(tmp_path / f"{seed}.onnx", seed=seed) for seed in (1, 2))
    encoders = (
        OnnxImageEncoder(one),
        OnnxImageEncoder(other),
        OnnxImageEncoder(one, layer="pool"),
        OnnxImageEncoder(one, scaling=Scaling.UNIT),
    )
    assert len({encoder.fingerprint for encoder in encoders}) == len(encoders)
    assert OnnxImageEncoder(one).fingerprint == encoders[0].fingerprint


def test_what_is_no_image_encoder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_bytes(b"no network")
    with pytest.raises(UserError, match=r"text\.onnx is no network that ONNX Runtime can run"):
        OnnxImageEncoder(tmp_path / "text.onnx")
    with pytest.raises(UserError, match="There is no file"):
        OnnxImageEncoder(tmp_path / "absent.onnx")
    with pytest.raises(UserError, match="has no tensor 'absent'"):
        OnnxImageEncoder(write_image_network(tmp_path / "cnn.onnx"), layer="absent")
    with pytest.raises(UserError, match="3 channels second or last"):
        OnnxImageEncoder(write_text_network(tmp_path))
    with pytest.raises(UserError, match="an image encoder gives"):
        OnnxImageEncoder(tmp_path / "cnn.onnx", layer="bias")
    with pytest.raises(UserError, match="has no inputs; an image encoder has one"):
        OnnxImageEncoder(write_constant_network(tmp_path / "constant.onnx"))


@pytest.mark.parametrize(("batch", "side"), [(1, 60_000), (70_000, 32)])
def test_a_network_whose_pictures_do_not_fit_into_memory_is_reported(
    tmp_path: Path, batch: int, side: int
) -> None:
    path = write_image_network(tmp_path / "cnn.onnx", batch=batch, side=side)
    with pytest.raises(UserError, match="per run, more than 67,108,864 pixels"):
        OnnxImageEncoder(path)


LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
"""Well-known networks with constant weights, which the package onnx has for its own tests."""


@pytest.mark.parametrize(
    "name", ["resnet50", "squeezenet", "densenet121", "inception_v2", "shufflenet", "vgg19"]
)
def test_well_known_networks_are_image_encoders(name: str) -> None:
    encoder = OnnxImageEncoder(LIGHT / f"light_{name}.onnx", batch=2)
    assert encoder.dimensions == 1_000
    assert encode(encoder, 1).shape == (1, 1_000)


def test_the_layer_may_be_the_output(tmp_path: Path) -> None:
    path = write_image_network(tmp_path / "cnn.onnx")
    assert OnnxImageEncoder(path, layer="classes").fingerprint == OnnxImageEncoder(path).fingerprint
