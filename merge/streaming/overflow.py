"""Results beyond the largest number of the output's type: refused with the ways out, or made that number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..checkpoints.files import Buffer
from ..dtypes import DTYPES, numpy_dtype
from ..errors import MergeError
from .narrowing import LARGEST
from .tallies import Tally

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WIDER = ("BF16", "F32", "F64")  # by their range


def saturate(values: NDArray[Any], dtype: str, raw: Buffer) -> Tally:
    """Write the largest number of a type where a finite one was beyond it.

    Args:
        values: What was rounded, float32 or float64.
        dtype: Format code of the type.
        raw: What it was rounded to; changed in place.

    Returns:
        How many there were, and the largest magnitude of them.
    """
    import numpy as np

    out = np.frombuffer(raw, numpy_dtype(dtype))
    beyond = ~np.isfinite(out) & np.isfinite(values)
    found = values[beyond]
    out[beyond] = np.copysign(LARGEST[dtype], found).astype(out.dtype)
    return Tally(saturated=len(found), largest=float(np.abs(found).max(initial=0)))


def largest_finite(values: NDArray[Any]) -> float:
    """Return the largest magnitude of what is finite; 0 where nothing is."""
    import numpy as np

    return float(np.abs(values).max(initial=0, where=np.isfinite(values)))


def overflow_error(name: str, dtype: str, count: int, largest: float) -> MergeError:
    """Return what is said of a tensor whose outcome does not fit its type.

    Args:
        name: The tensor's name.
        dtype: Its type.
        count: How many of its numbers are infinite or NaN after rounding.
        largest: The largest finite magnitude before it.
    """
    fits = largest <= LARGEST[dtype]  # then the arithmetic itself has overflowed
    numbers = f"{count:,} such in the part at hand" + ("" if fits else f", up to {largest:.4g}")
    what = f"the result of tensor '{name}' is beyond the largest {dtype} number, {LARGEST[dtype]:g} ({numbers})"
    wider = next((DTYPES[code].torch for code in _WIDER if largest <= LARGEST[code]), None)
    ways = [] if fits else [f"--dtype {wider} holds it", "--overflow saturate writes the largest number instead"]
    ways += [f"--keep '{name}' takes it from the base", "--allow-nonfinite writes infinity or NaN"]
    return MergeError(what, hint="; ".join(ways))
