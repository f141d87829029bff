"""Round float64 to float32 so that one more rounding, to a type of at most 16 bits, is the only one that counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..dtypes import DTYPES, numpy_dtype

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rounded(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Return values in a type of the format, rounded to nearest even once."""
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        if values.dtype == np.float64 and DTYPES[dtype].bits <= 16:
            values = single_rounding(values, np)
        return np.ascontiguousarray(values.astype(numpy_dtype(dtype)))


def single_rounding(array: Any, xp: Any) -> Any:
    """Return float32 values that round to types of 16 and 8 bits as the float64 values themselves would.

    Rounding to nearest twice ends on the wrong side only where the first rounding lands on a tie of the second.
    Those few values are rounded to odd instead: their last bit remembers that something was cut off (Boldo and
    Melquiond 2008, "Emulation of FMA and correctly rounded sums", IEEE Transactions on Computers 57(4), section 3).
    Works on numpy and torch.
    """
    near = _cast(array, xp.float32)
    bits = near.view(xp.int32)
    ties = (bits & 0xFFF) == 0  # every tie of a type with at most 11 significant bits ends in 12 zeros
    if ties.any():
        near[ties] = _round_to_odd(array[ties], near[ties], xp)
    return near


def _round_to_odd(array: Any, near: Any, xp: Any) -> Any:
    """Return the neighbour with an odd last bit where float32 does not hold the value exactly."""
    back = _cast(near, xp.float64)
    bits = near.view(xp.int32)
    even = (back != array) & ((bits & 1) == 0) & ~xp.isnan(array)
    outwards = xp.abs(array) > xp.abs(back)
    bits[even & outwards] += 1
    bits[even & ~outwards] -= 1
    return near


def _cast(array: Any, dtype: Any) -> Any:
    return array.astype(dtype) if hasattr(array, "astype") else array.to(dtype)
