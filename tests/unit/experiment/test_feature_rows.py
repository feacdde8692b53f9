import numpy as np
import pytest

from stream_app.experiment.feature_rows import pack_rows, stamp_in, stamp_of, unpack_rows

NAMES = ("price", "age")
ROWS = np.array([[0.5, 1.0], [0.25, 0.0], [1.0, 0.125]], np.float32)


def test_rows_come_back_also_one_by_one_and_put_together() -> None:
    stamp = stamp_of(NAMES)
    raw = pack_rows(ROWS, stamp)
    width = len(raw) // len(ROWS)
    singles = [raw[at * width : (at + 1) * width] for at in range(len(ROWS))]
    for packed, rows in ((raw, ROWS), (singles[1], ROWS[1:2]), (singles[2] + singles[0], ROWS[[2, 0]])):
        unpacked = unpack_rows(packed, 2, stamp)
        assert unpacked is not None
        assert unpacked.tolist() == rows.tolist()
        assert unpacked.dtype == np.float32


@pytest.mark.parametrize(
    "others", [("age", "price"), ("price", "years"), ("price",), ("price", "age", "new"), ("priceage",)]
)
def test_rows_of_other_features_are_not_taken_for_these(others: tuple[str, ...]) -> None:
    other = pack_rows(np.zeros((3, len(others)), np.float32), stamp_of(others))
    assert unpack_rows(other, 2, stamp_of(NAMES)) is None
    assert unpack_rows(pack_rows(ROWS, stamp_of(NAMES)) + other, 2, stamp_of(NAMES)) is None


@pytest.mark.parametrize("raw", [b"", b"123", ROWS.astype(np.float16).tobytes(), bytes(18)])
def test_what_has_no_stamp_is_no_row(raw: bytes) -> None:
    assert unpack_rows(raw, 2, stamp_of(NAMES)) is None
    assert stamp_in(raw) == 0


def test_every_stamp_is_told_from_every_number() -> None:
    stamps = {stamp_of([str(number)]) for number in range(5_000)}
    assert len(stamps) > 1_500
    for stamp in stamps:
        assert stamp_in(pack_rows(ROWS, stamp)) == stamp
    numbers = np.arange(1 << 16).astype(np.uint16)
    finite = numbers[np.isfinite(numbers.view(np.float16))]
    assert not any(stamp_in(number.tobytes()) for number in finite)
