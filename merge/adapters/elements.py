"""Elements of tensors in the type of a sum, and back. What is not finite is left as it is: the engine refuses it."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

from ..checkpoints.header import TensorInfo
from ..dtypes import accumulator, numpy_dtype
from .changes import Change

if TYPE_CHECKING:
    from numpy.typing import NDArray

ReadPart = Callable[[TensorInfo, int, memoryview], None]  # tensor, byte offset, bytes to fill


def elements(tensor: TensorInfo, read: ReadPart, start: int, count: int, wanted: Any) -> NDArray[Any]:
    """Return elements of a tensor from ``start`` on in the wanted type."""
    import numpy as np

    dtype = numpy_dtype(tensor.dtype)
    raw = np.empty(count * dtype.itemsize, np.uint8)
    if count:
        read(tensor, start * dtype.itemsize, raw.data)
    with np.errstate(over="ignore", invalid="ignore"):
        values: NDArray[Any] = raw.view(dtype).astype(wanted)
    return values


def all_of(tensor: TensorInfo, read: ReadPart, wanted: Any) -> NDArray[Any]:
    """Return all elements of a tensor."""
    return elements(tensor, read, 0, prod(tensor.shape), wanted)


def working_type(change: Change) -> Any:
    """Return the type of the sum: the one in which the engine sums, and wider where a whole tensor is wider."""
    codes = [change.target.dtype, *(["F64"] if change.whole is not None and change.whole.dtype == "F64" else [])]
    return numpy_dtype(accumulator(tuple(codes)))


def squares(values: NDArray[Any]) -> NDArray[Any]:
    """Return squares in float64."""
    wide: NDArray[Any] = values.astype("float64")
    wide *= wide
    return wide
