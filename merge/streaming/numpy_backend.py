"""Arithmetic on the CPU with numpy and ml_dtypes, in scratch that is allocated once and stays in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arithmetic.consensus import agreeing_sum
from ..checkpoints.files import Buffer
from ..dtypes import DTYPES, numpy_dtype
from .compiled import MOST_INPUTS, compiled_loops
from .half import half_to_single
from .pieces import BLOCK_ELEMENTS
from .random_bits import random_floats
from .ranks import COMPARISONS
from .rounding import single_rounding

_SIGNED = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}
_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
_COMPILED_PAIRS = {("f4", "BF16"), ("f4", "F16"), ("f8", "F32")}
LANES = 16  # of a sum: as many as the widest registers hold


class NumpyBackend:
    """One worker's scratch and conversions, made in the thread that uses them.

    Args:
        allow_nonfinite: Whether inputs may hold infinities and NaN; otherwise the caller checks before it loads.

    Attributes:
        xp: The array API namespace that method bodies use.
        block_elements: How many elements to compute at once.
    """

    def __init__(self, *, allow_nonfinite: bool = False) -> None:
        self.xp: Any = np  # from version 2 on, numpy's own namespace follows the array API
        self.block_elements = BLOCK_ELEMENTS  # float32 numbers and raw bytes of two models fit the second-level cache
        self._scratch: dict[tuple[int, str], np.ndarray[Any, Any]] = {}
        self._taken = 0
        self._finite = not allow_nonfinite
        self._compiled: Any = compiled_loops()
        np.seterr(all="ignore")  # of this thread: the worker looks for infinities and NaN itself, and names the tensor

    def begin(self) -> None:
        """Start a chunk: every array that `load` handed out may be reused."""
        self._taken = 0

    def load(self, raw: Buffer, dtype: str, accumulator: str, base: Any = None) -> Any:
        """Return the numbers in a byte buffer as an array of the accumulator's type, to be overwritten freely.

        Args:
            raw: The bytes.
            dtype: Their type.
            accumulator: The type to compute in.
            base: An array to subtract, or None.
        """
        values = np.frombuffer(raw, numpy_dtype(dtype))
        out = self._take(len(values), accumulator)
        if self._finite and self._compiled is not None and (out.dtype.str[1:], dtype) in _COMPILED_PAIRS:
            self._compiled.convert(dtype, raw, base, out)
            return out
        if dtype == "F16" and accumulator == "F32" and self._finite:
            half_to_single(values, out)
        else:
            np.copyto(out, values)
        if base is not None:
            out -= base
        return out

    def load_alone(self, raw: Buffer, dtype: str) -> Any:
        """Return numbers in float64, in an array of their own that is freed when nobody needs it any more."""
        return np.frombuffer(raw, numpy_dtype(dtype)).astype(np.float64)

    def _take(self, count: int, dtype: str) -> Any:
        key = (self._taken, dtype)
        self._taken += 1
        array = self._scratch.get(key)
        if array is None or len(array) < count:
            array = self._scratch[key] = np.empty(count, numpy_dtype(dtype))
        return array[:count]

    def store(self, array: Any, dtype: str, raw: Buffer) -> None:
        """Write an array to a byte buffer in the output's type, rounded once, to nearest even."""
        compiled = self._compiled is not None and (array.dtype.str[1:], dtype) in _COMPILED_PAIRS
        if compiled and self._compiled.store(dtype, np.ascontiguousarray(array), raw):
            return
        out = np.frombuffer(raw, numpy_dtype(dtype))
        if array.dtype == np.float64 and out.itemsize < 4 and dtype != "F16":
            array = single_rounding(array, np)  # ml_dtypes would round twice, by way of float32
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            np.copyto(out, array, casting="unsafe")

    def first_nonfinite(self, raw: Buffer, dtype: str) -> int | None:
        """Return the position of the first infinity or NaN in a byte buffer, or None."""
        infinity = DTYPES[dtype].infinity
        values = np.frombuffer(raw, numpy_dtype(dtype))
        if not len(values):
            return None
        if infinity is not None:
            width = values.dtype.itemsize
            # As integers, patterns that are not finite are the largest of each sign: two maxima find any.
            positive, negative = np.frombuffer(raw, _SIGNED[width]).max(), np.frombuffer(raw, _UNSIGNED[width]).max()
            if int(positive) < infinity and int(negative) < infinity + (1 << (8 * width - 1)):
                return None
        bad = np.flatnonzero(~np.isfinite(values))
        return int(bad[0]) if len(bad) else None

    def count_nonfinite(self, raw: Buffer, dtype: str) -> int:
        """Return how many numbers in a byte buffer are infinite or NaN."""
        return int(np.count_nonzero(~np.isfinite(np.frombuffer(raw, numpy_dtype(dtype)))))

    def fetched(self, array: Any) -> Any:
        """Return an array as numpy's."""
        return array

    def nonzeros(self, array: Any) -> int:
        """Return how many numbers of an array are not 0."""
        return int(np.count_nonzero(array))

    def nonzeros_in(self, raw: Buffer, dtype: str) -> int:
        """Return how many numbers in a byte buffer, of 8 or 16 bits each, are not 0."""
        bits = np.frombuffer(raw, _UNSIGNED[DTYPES[dtype].bits // 8])
        return int(np.count_nonzero(bits << 1))  # without the sign, since -0 is 0 too

    def widened(self, array: Any, bits: int) -> Any:
        """Return the numbers as floats of 32 or 64 bits."""
        return array.astype(np.float64 if bits == 64 else np.float32, copy=False)

    def add_digits(self, counts: Any, array: Any, shift: int, prefix: int) -> None:
        """Count, among magnitudes whose bits above ``shift + 16`` equal the prefix, the 16 bits from ``shift``.

        Args:
            counts: 65,536 counts, to which these are added.
            array: Floats of 32 or 64 bits, taken as whole numbers, which have the order of the magnitudes.
            shift: Position of the lowest of the 16 bits.
            prefix: The bits above them.
        """
        if self._compiled is not None:
            self._compiled.add_digits(counts, np.ascontiguousarray(array), shift, prefix)
            return
        keys = np.abs(array).view(_UNSIGNED[array.dtype.itemsize])
        if shift + 16 < keys.dtype.itemsize * 8:
            keys = keys[(keys >> (shift + 16)) == prefix]
        counts += np.bincount(((keys >> shift) & 0xFFFF).astype(np.intp), minlength=len(counts))

    def matching(self, array: Any, shift: int, prefix: int) -> Any:
        """Return the magnitudes whose bits from ``shift`` upwards equal the prefix."""
        if self._compiled is not None:
            found = np.empty_like(array)
            return found[: self._compiled.matching(found, np.ascontiguousarray(array), shift, prefix)].copy()
        magnitudes = np.abs(array)
        return magnitudes[magnitudes.view(_UNSIGNED[array.dtype.itemsize]) >> shift == prefix]

    def count_equal(self, array: Any, value: float) -> int:
        """Count the magnitudes that equal a value."""
        return int(np.count_nonzero(np.abs(array) == value))

    def count_above(self, array: Any, value: float) -> int:
        """Count the magnitudes above a value."""
        return int(np.count_nonzero(np.abs(array) > value))

    def least_of_largest(self, array: Any, count: int) -> float:
        """Return the smallest of the ``count`` largest magnitudes."""
        place = len(array) - count
        return float(np.partition(np.abs(array), place)[place])

    def keep(self, array: Any, comparison: str, bound: float) -> None:
        """Multiply the magnitudes that do not compare so (``>=``, ``>``, ``<=``, ``<``) with a bound by 0, in place."""
        if self._compiled is not None and array.flags.c_contiguous:
            self._compiled.keep(array, comparison, bound)
        else:
            array *= COMPARISONS[comparison](np.abs(array), bound)

    def agreeing_sum(self, arrays: Sequence[Any], weights: Sequence[float], *, normalize: bool) -> Any:
        """Return the sum of what agrees in sign; the arrays are overwritten."""
        if self._compiled is None or len(arrays) > MOST_INPUTS or not all(a.flags.c_contiguous for a in arrays):
            return agreeing_sum(arrays, weights, np, normalize=normalize)
        self._compiled.agreeing_sum(tuple(arrays), tuple(weights), normalize)
        return arrays[0]

    def inner(self, first: Any, second: Any) -> float:
        """Return the inner product in float64, in lanes that give the same bits however wide the processor is."""
        if self._compiled is not None:
            return float(self._compiled.inner(np.ascontiguousarray(first), np.ascontiguousarray(second)))
        whole = len(first) // LANES * LANES
        products = np.multiply(first, second, dtype=np.float64)
        lanes = products[:whole].reshape(-1, LANES).sum(axis=0)
        lanes[: len(first) - whole] += products[whole:]
        return _in_order(lanes)

    def total(self, array: Any) -> float:
        """Return the sum in float64; of a mask, the number of entries that are set."""
        if array.dtype == np.bool_:
            return float(np.count_nonzero(array))
        whole = len(array) // LANES * LANES
        lanes = array[:whole].reshape(-1, LANES).sum(axis=0, dtype=np.float64)
        lanes[: len(array) - whole] += array[whole:]
        return _in_order(lanes)

    def uniform(self, key: int, first: int, count: int) -> Any:
        """Return float32 numbers in [0, 1) from a counter-based generator: those at a range of positions."""
        return random_floats(key, first, count)

    def row_ranks(self, array: Any) -> Any:
        """Return ranks by magnitude within rows, the later first among equals."""
        rows, length = array.shape
        if array.dtype == np.float32 and length < 2**32:  # sorting whole numbers is several times faster than argsort
            keys = np.abs(array).view(np.uint32).astype(np.uint64)
            keys <<= np.uint64(32)
            keys |= np.arange(length - 1, -1, -1, dtype=np.uint64)
            keys.sort(axis=1)
            order = (length - 1) - (keys & np.uint64(0xFFFFFFFF)).astype(np.intp)
        else:
            order = length - 1 - np.argsort(np.abs(array)[:, ::-1], axis=1, kind="stable")
        ranks = np.empty((rows, length), array.dtype)
        np.put_along_axis(ranks, order, np.arange(length, dtype=array.dtype)[None, :], axis=1)
        return ranks

    def keep_first(self, mask: Any, equal: Any, quota: int) -> None:
        """Set in the mask the first ``quota`` places where ``equal`` is true."""
        mask[np.flatnonzero(equal)[:quota]] = True


def _in_order(lanes: Any) -> float:
    """Return the sum of a few numbers, added one after the other; Python's own sum compensates for rounding."""
    total = 0.0
    for lane in lanes.tolist():
        total += lane
    return total
