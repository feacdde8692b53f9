"""Text encoders: wordllama's weights, and small ones of the test."""

import socket
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

from stream_app.encoders import optional_packages
from stream_app.encoders.onnx_text import OnnxTextEncoder
from stream_app.encoders.text_encoders import PACKAGED_ENCODERS, open_text_encoder
from stream_app.errors import UserError
from stream_app.models.text_encoder import TextEncoder
from tests.support.small_networks import WORDS, write_image_network, write_text_network, write_tokenizer

TABLE = np.random.default_rng(3).normal(size=(len(WORDS), 5)).astype(np.float32)


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return vector / np.linalg.norm(vector)


@pytest.fixture
def static_folder(tmp_path: Path) -> Path:
    write_tokenizer(tmp_path / "tokenizer.json")
    safetensors.numpy.save_file({"embeddings": TABLE}, tmp_path / "model.safetensors")
    return tmp_path


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", sorted(PACKAGED_ENCODERS))
def test_a_packaged_encoder_knows_that_a_couch_is_a_sofa(name: str) -> None:
    encoder = open_text_encoder(name)
    couch, sofa, kettle, empty, signs = encoder.encode(
        ["a red couch", "red sofa", "steel kettle", "", "\x00"]
    )
    assert couch @ sofa > couch @ kettle + 0.2
    assert not empty.any()
    assert np.isfinite(signs).all()
    assert couch.shape == (encoder.dimensions,)


@pytest.mark.parametrize(
    "translation", ["rotes Zelt", "tente rouge", "tienda de campaña roja", "赤いテント", "красная палатка"]
)
def test_the_multilingual_encoder_knows_translations(translation: str) -> None:
    tent, translated, other = open_text_encoder("universal").encode(["red tent", translation, "steel kettle"])
    assert tent @ translated > tent @ other + 0.1


@pytest.mark.parametrize("name", sorted(PACKAGED_ENCODERS))
def test_two_instances_agree(name: str) -> None:
    one, other = open_text_encoder(name), open_text_encoder(name)
    texts = ["Zelt für zwei Personen", "tent", "x" * 9_000]
    assert one.fingerprint == other.fingerprint
    np.testing.assert_array_equal(one.encode(texts), np.concatenate([other.encode([text]) for text in texts]))


def test_a_folder_of_word_vectors_gives_their_mean(static_folder: Path) -> None:
    encoder: TextEncoder = open_text_encoder(str(static_folder))
    [tent, both] = encoder.encode(["Tent", "red tent"])
    np.testing.assert_allclose(tent, unit(TABLE[3]), atol=1e-6)
    np.testing.assert_allclose(both, unit(TABLE[1] + TABLE[3]), atol=1e-6)


def test_weights_and_shared_rows_of_a_folder_are_used(static_folder: Path) -> None:
    mapping = np.array([0, 1, 1, 2, 2, 2, 2])
    weights = np.array([0, 1, 1, 3, 1, 1, 1], np.float32)
    tensors = {"embeddings": TABLE[:3], "mapping": mapping, "weights": weights}
    safetensors.numpy.save_file(tensors, static_folder / "model.safetensors")
    [both] = open_text_encoder(str(static_folder)).encode(["red tent"])
    np.testing.assert_allclose(both, unit(TABLE[1] + 3 * TABLE[2]), atol=1e-6)


def test_an_onnx_network_gives_the_mean_of_its_tokens(tmp_path: Path) -> None:
    encoder = open_text_encoder(str(write_text_network(tmp_path, vectors=TABLE)))
    assert encoder.dimensions == 5
    both, empty, long = encoder.encode(["red tent", " ", "tent " * 1_000])
    np.testing.assert_allclose(both, unit(TABLE[1] + TABLE[3]), atol=1e-6)
    assert not empty.any()
    np.testing.assert_allclose(long, unit(TABLE[3]), atol=1e-5)


def test_fingerprints_differ_by_weights(tmp_path: Path) -> None:
    found = set()
    for number, vectors in enumerate((TABLE, -TABLE)):
        folder = tmp_path / str(number)
        folder.mkdir()
        found.add(OnnxTextEncoder(write_text_network(folder, vectors=vectors)).fingerprint)
    assert len(found) == 2


def test_what_is_no_text_encoder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no text encoder 'bert'; there are universal, wordllama"):
        open_text_encoder("bert")
    with pytest.raises(UserError, match=r"There is no .*model\.safetensors"):
        open_text_encoder(str(tmp_path))
    network = write_image_network(tmp_path / "cnn.onnx")
    with pytest.raises(UserError, match="has the inputs picture; a text encoder has input_ids"):
        open_text_encoder(str(network))
    network = write_text_network(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"no tokenizer\.json beside"):
        open_text_encoder(str(network))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="is no tokenizer"):
        open_text_encoder(str(network))


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(name: str) -> NoReturn:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(optional_packages, "import_module", refuse)
    with pytest.raises(UserError, match=r"needs the package tokenizers.*pip install 'headrace\[text\]'\."):
        open_text_encoder("wordllama")
    with pytest.raises(UserError, match=r"pip install 'headrace\[onnx\]'\."):
        open_text_encoder(str(tmp_path / "model.onnx"))
