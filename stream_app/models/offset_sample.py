"""Samples of a log by offset: every replica and every replay samples the same records."""


def is_sampled(offset: int, one_in: int) -> bool:
    """Whether a record is in the sample that has one record in `one_in`.

    Examples
    --------
    >>> sum(is_sampled(offset, 4) for offset in range(1000))
    249
    """
    return (offset * 2_654_435_761 >> 7) % one_in == 0
