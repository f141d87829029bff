"""Rows of a tensor by their numbers, as arrays of their own type, and back to bytes of another type."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from ..checkpoints.checkpoint import Source
from ..checkpoints.header import TensorInfo
from ..dtypes import DTYPES, numpy_dtype

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .rows import Numbers

BLOCK_BYTES = 2 * 2**20  # how many bytes of rows are held at once


class Origin(NamedTuple):
    """A model's tensor, from which rows are taken."""

    source: Source
    tensor: TensorInfo


def take(origin: Origin, rows: Numbers, width: int) -> NDArray[Any]:
    """Read rows of a tensor, neighbours in one read; all that lies between them where that is little.

    Args:
        origin: The tensor.
        rows: Their numbers, at least one.
        width: Entries of a row.
    """
    import numpy as np

    dtype = numpy_dtype(origin.tensor.dtype)
    low, high = int(rows.min()), int(rows.max()) + 1
    if (high - low) * width * dtype.itemsize <= BLOCK_BYTES:
        span = _read(origin, low, np.empty((high - low, width), dtype))
        return span if len(rows) == high - low and bool((np.diff(rows) == 1).all()) else span[rows - low]
    found = np.empty((len(rows), width), dtype)
    borders = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
    for first, last in pairwise(borders):
        _read(origin, int(rows[first]), found[first:last])
    return found


def _read(origin: Origin, row: int, into: NDArray[Any]) -> NDArray[Any]:
    """Fill whole rows from this one on."""
    origin.source.read_into(origin.tensor, row * into.shape[1] * into.itemsize, into.reshape(-1).view("u1").data)
    return into


def rounded(values: NDArray[np.float64], dtype: str) -> NDArray[Any]:
    """Return values in a type of the format, rounded once."""
    import numpy as np

    from ..streaming.rounding import single_rounding

    narrow = DTYPES[dtype].bits <= 16
    return (single_rounding(values, np) if narrow else values).astype(numpy_dtype(dtype))
