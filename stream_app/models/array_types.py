"""Names of the array types that models and kernels exchange."""

import numpy as np
from numpy.typing import NDArray

Items = NDArray[np.int32]
"""Indices of items (`stream_app.models.item_index.ItemIndex`); `NO_ITEM` (-1) for an unknown item."""

Rows = NDArray[np.int32]
"""Indices of rows of a table: users, queries, segments."""

Sizes = NDArray[np.int32]
"""Number of entries used in each row of a table."""

Times = NDArray[np.float64]
"""Event times in seconds since the epoch."""

Floats = NDArray[np.float64]
"""Weights, counts and sums."""

Scores = NDArray[np.float32]
"""Scores of items for a context; higher is better, 0 is the lowest."""

Hashes = NDArray[np.uint64]
"""Stable hashes of ids; the smaller hash wins a tie."""

Integers = NDArray[np.int64]
"""Counts, codes and positions."""

Matrix = NDArray[np.float32]
"""Features, weights and gradients in single precision; rows are items or positions."""

Mask = NDArray[np.bool_]
"""One truth value per item."""

NO_ITEM = -1
"""An unknown item, or no evidence."""

NO_SESSION = -1
"""No session."""

EMPTY_ITEMS: Items = np.zeros(0, np.int32)
EMPTY_TIMES: Times = np.zeros(0, np.float64)
