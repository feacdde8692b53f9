"""A seeded share of `make fuzz`."""

import logging
from collections.abc import Iterator

import pytest

from tests.fuzz.campaigns import fuzz_decoders, fuzz_pipeline, fuzz_with_hypothesis

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _failures_alone() -> Iterator[None]:
    """Log no line about a damaged record: there are tens of thousands."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def test_records_pass_from_decoding_to_the_client_without_an_unhandled_exception() -> None:
    fuzz_pipeline(30_000, first_seed=15)


def test_records_of_hypothesis_pass_without_an_unhandled_exception() -> None:
    fuzz_with_hypothesis(3_000, first_seed=15)


def test_damaged_records_of_every_kind_are_read_or_refused() -> None:
    fuzz_decoders(20_000, first_seed=15)
