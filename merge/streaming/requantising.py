"""From computed numbers to 8-bit floats with scales: the largest magnitude of a block becomes the largest 8-bit float.

scale = max |x| / largest, and an entry is x / scale: so DeepSeek-V3 (arXiv:2412.19437, section 3.3) and the scheme
`fp8` of transformers do it. A scale is rounded to its type, and entries are divided by what was rounded; each is
rounded once, to nearest even, from the exact quotient (or stochastically, from the quotient in float64). A block of
zeros has the scale 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..checkpoints.scaled_values import packed_scales
from ..dtypes import numpy_dtype
from ..planning.rows import Row
from .eight_bits import eight_bits
from .narrowing import LARGEST
from .pieces import BLOCK_ELEMENTS
from .rounding import single_rounding
from .stochastic import Draws, drawn

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SMALLEST = {"F16": 2.0**-14}  # normal numbers of the scales' types, so that no quotient is beyond the numbers
_SMALLEST_ELSE = 2.0**-126
_ALMOST = 1 - 2.0**-6  # a scale may be rounded down by so much: the largest entry still is the largest 8-bit float


class Quantiser:
    """Quantises a tensor, whole bands of it at a time.

    Args:
        row: The row, which has scales.
        largest: The largest magnitude of the tensor, where one scale is for all of it.
        draws: The tensor's random numbers, where entries are rounded stochastically.
    """

    def __init__(self, row: Row, largest: float | None = None, draws: Draws | None = None) -> None:
        import numpy as np

        assert row.scales is not None  # noqa: S101 - else nothing is to be quantised
        self._scales, self._dtype, self._draws = row.scales, row.dtype, draws
        self._rows, self._columns = (1, 1, *row.shape)[-2:]
        self._limit = LARGEST[row.dtype]
        self._single = None if largest is None else self._rounded(np.array([[largest]]))

    def quantise(self, values: NDArray[Any], first: int) -> tuple[NDArray[Any], bytes]:
        """Return 8-bit floats, a byte each, and the bytes of their scales; of a single scale, when it is asked for.

        Args:
            values: Numbers in float32 or float64, in one dimension; whole bands.
            first: Position of the first one in the tensor.
        """
        import numpy as np

        codes, scales = np.empty(len(values), np.uint8), []
        with np.errstate(all="ignore"):  # what is not finite was looked for already, or is allowed
            for start, stop in self._parts(first, len(values)):
                part = values[start:stop].reshape(-1, self._columns if self._single is None else stop - start)
                scale = self._rounded(self._largest(part)) if self._single is None else self._single
                scales.append(scale.reshape(-1))
                codes[start:stop] = self._divided(part, scale, first + start).reshape(-1)
        return codes, b"" if self._single is not None else self._packed(np.concatenate(scales))

    def single_scale(self) -> bytes:
        """Return the bytes of the scale that is for all of the tensor."""
        return self._packed(self._single)

    def _packed(self, scales: Any) -> bytes:
        return packed_scales(scales, self._scales.dtype)

    def _parts(self, first: int, count: int) -> Iterator[tuple[int, int]]:
        """Cut a chunk into parts that fit the cache: some whole rows of blocks of one matrix."""
        columns, height = max(1, self._columns), self._scales.block[0]
        together = height * max(1, BLOCK_ELEMENTS // (height * columns)) * columns
        matrix, start = self._rows * columns, 0
        while start < count:
            left = count - start if self._single is not None else matrix - (first + start) % matrix
            stop = min(count, start + min(left, together if self._single is None else BLOCK_ELEMENTS))
            yield start, stop
            start = stop

    def _largest(self, part: NDArray[Any]) -> NDArray[Any]:
        """Return the largest magnitude of every block that is a number; [block rows, block columns]."""
        import numpy as np

        magnitudes = np.abs(part)
        if not np.isfinite(magnitudes.max(initial=0)):
            magnitudes[~np.isfinite(magnitudes)] = 0
        for axis, size in enumerate(self._scales.block):
            if size > 1:
                magnitudes = np.maximum.reduceat(magnitudes, range(0, part.shape[axis], size), axis=axis)
        return _array(magnitudes.astype(np.float64))

    def _rounded(self, largest: NDArray[Any]) -> NDArray[Any]:
        """Return scales of blocks, numbers of the scales' type, in float64."""
        import numpy as np

        exact = largest / self._limit
        if self._scales.power_of_two:
            mantissas, exponents = np.frexp(exact)
            found = np.ldexp(1.0, exponents - (mantissas == 0.5))  # the next one from there on
        else:
            found = _nearest(exact, self._scales.dtype)
            low = found < exact * _ALMOST
            found = np.where(low, _nearest(exact * (2 - _ALMOST), self._scales.dtype), found) if low.any() else found
        found = np.maximum(found, _SMALLEST.get(self._scales.dtype, _SMALLEST_ELSE))
        return np.where(largest == 0, 1.0, found)

    def _divided(self, part: NDArray[Any], scale: NDArray[Any], first: int) -> NDArray[Any]:
        """Return the bits of the 8-bit floats nearest to the quotients, or drawn from their two neighbours."""
        import numpy as np

        if self._single is None:
            for axis, size in enumerate(self._scales.block):
                if 1 < size < part.shape[axis]:
                    scale = np.repeat(scale, size, axis=axis)[tuple(slice(length) for length in part.shape)]
        if self._draws is not None:
            exact = np.clip(part / scale.astype(np.float64), -self._limit, self._limit, where=np.isfinite(part))
            return drawn(exact.reshape(-1), self._dtype, self._draws.at(first, part.size)).view(np.uint8)
        near = self._quotients(part, scale)
        largest = max(near.max(initial=0), -near.min(initial=0))
        if largest > self._limit:
            np.clip(near, -self._limit, self._limit, out=near, where=np.isfinite(part))
        if np.isfinite(largest):
            return eight_bits(near, self._dtype)
        return near.astype(numpy_dtype(self._dtype)).view(np.uint8)

    def _quotients(self, part: NDArray[Any], scale: NDArray[Any]) -> NDArray[Any]:
        """Return quotients in float32 that round to 8 bits as the exact ones would."""
        import numpy as np

        if part.dtype == np.float64 or self._scales.dtype == "F64":
            return _array(single_rounding(part / scale, np))
        near = part / scale.astype(np.float32)
        doubtful = (near.view(np.int32) & 0xFFF) == 0  # where float32 may have rounded to the middle of two
        if doubtful.any():
            wide = np.broadcast_to(scale, part.shape)[doubtful]
            near[doubtful] = single_rounding(part[doubtful].astype(np.float64) / wide, np)
        return near


def largest_magnitude(values: NDArray[Any]) -> float:
    """Return the largest magnitude that is a number."""
    import numpy as np

    found = float(np.abs(values).max(initial=0))
    return found if np.isfinite(found) else float(np.abs(values[np.isfinite(values)]).max(initial=0))


def _nearest(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Return the nearest numbers of a type, in float64."""
    import numpy as np

    near = single_rounding(values, np) if dtype == "BF16" else values  # numpy itself rounds to the others once
    return _array(near.astype(numpy_dtype(dtype)).astype(np.float64))


def _array(found: Any) -> NDArray[Any]:
    array: NDArray[Any] = found
    return array
