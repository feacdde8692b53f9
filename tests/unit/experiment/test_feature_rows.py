import numpy as np
import pytest

from stream_app.experiment.feature_rows import (
    features_version_of,
    pack_rows,
    read_features_version,
    unpack_rows,
)

NAMES = ("price", "age")
ROWS = np.array([[0.5, 1.0], [0.25, 0.0], [1.0, 0.125]], np.float32)


def test_packed_rows_round_trip_alone_and_concatenated() -> None:
    features_version = features_version_of(NAMES)
    raw = pack_rows(ROWS, features_version)
    width = len(raw) // len(ROWS)
    single_rows = [raw[at * width : (at + 1) * width] for at in range(len(ROWS))]
    for pack_propensities, rows in (
        (raw, ROWS),
        (single_rows[1], ROWS[1:2]),
        (single_rows[2] + single_rows[0], ROWS[[2, 0]]),
    ):
        unpacked = unpack_rows(pack_propensities, 2, features_version)
        assert unpacked is not None
        assert unpacked.tolist() == rows.tolist()
        assert unpacked.dtype == np.float32


@pytest.mark.parametrize(
    "other_names", [("age", "price"), ("price", "years"), ("price",), ("price", "age", "new"), ("priceage",)]
)
def test_rows_of_another_features_version_are_rejected(other_names: tuple[str, ...]) -> None:
    other = pack_rows(np.zeros((3, len(other_names)), np.float32), features_version_of(other_names))
    assert unpack_rows(other, 2, features_version_of(NAMES)) is None
    assert (
        unpack_rows(pack_rows(ROWS, features_version_of(NAMES)) + other, 2, features_version_of(NAMES))
        is None
    )


@pytest.mark.parametrize("raw", [b"", b"123", ROWS.astype(np.float16).tobytes(), bytes(18)])
def test_bytes_without_a_version_are_rejected(raw: bytes) -> None:
    assert unpack_rows(raw, 2, features_version_of(NAMES)) is None
    assert read_features_version(raw) == 0


def test_features_versions_never_equal_a_finite_float16() -> None:
    features_versions = {features_version_of([str(number)]) for number in range(5_000)}
    assert len(features_versions) > 1_500
    for features_version in features_versions:
        assert read_features_version(pack_rows(ROWS, features_version)) == features_version
    numbers = np.arange(1 << 16).astype(np.uint16)
    finite = numbers[np.isfinite(numbers.view(np.float16))]
    assert not any(read_features_version(number.tobytes()) for number in finite)
