"""Stochastic rounding: up or down by chance, so that the outcome is right on average.

A number between two neighbours of a type becomes the upper one with a probability in proportion to its distance from
the lower one (Croci et al. 2022, "Stochastic rounding: implementation, error analysis and applications", Royal Society
Open Science 9, section 2). Updates far smaller than the steps of the type, which rounding to nearest loses, so keep
their mean. The chance follows from seed, name of the tensor and position in it alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..checkpoints.files import Buffer
from ..dtypes import numpy_dtype
from .narrowing import GRIDS, LARGEST
from .pieces import BLOCK_ELEMENTS
from .rounding import rounded

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Draws:
    """The random numbers by which one tensor is rounded.

    Args:
        seed: The recipe's.
        name: The tensor's name in the output.
    """

    def __init__(self, seed: int, name: str) -> None:
        import xxhash

        self._key = xxhash.xxh3_128_intdigest(f"rounding\0{seed}\0{name}".encode())

    def at(self, first: int, count: int) -> NDArray[Any]:
        """Return float32 numbers in [0, 1), multiples of 2^-24: those of a range of positions in the tensor."""
        from .random_bits import random_floats

        found: NDArray[Any] = random_floats(self._key, first, count)
        return found


def store_drawn(values: NDArray[Any], dtype: str, raw: Buffer, draws: Draws, first: int) -> None:
    """Write numbers to a byte buffer, rounded stochastically.

    Args:
        values: Float32 or float64, in one dimension.
        dtype: Format code of a type of at most 16 bits.
        raw: The buffer.
        draws: The tensor's random numbers.
        first: Position of the first number in the tensor.
    """
    import numpy as np

    out = np.frombuffer(raw, numpy_dtype(dtype))
    for start in range(0, len(values), BLOCK_ELEMENTS):
        part = values[start : start + BLOCK_ELEMENTS]
        out[start : start + len(part)] = drawn(part, dtype, draws.at(first + start, len(part)))


def drawn(values: NDArray[Any], dtype: str, uniform: NDArray[Any]) -> NDArray[Any]:
    """Return numbers in a type, rounded up where part of the way to the upper neighbour + random number >= 1.

    What lies beyond the largest number of the type, or is none, is rounded as to nearest: it has no upper neighbour.

    Args:
        values: Float32 or float64.
        dtype: Format code of a type of at most 16 bits.
        uniform: As many random numbers in [0, 1), multiples of 2^-24.
    """
    import numpy as np

    with np.errstate(all="ignore"):  # what is not finite is looked for afterwards
        short = dtype == "BF16" and values.dtype == np.float32
        out = _cut_off(values, uniform) if short else _on_grid(values, dtype, uniform)
        beyond = ~(np.abs(values) <= LARGEST[dtype])
        if beyond.any():
            out[beyond] = rounded(values[beyond], dtype)
    return out


def _cut_off(values: NDArray[Any], uniform: NDArray[Any]) -> NDArray[Any]:
    """Round float32 to bfloat16, the upper half of its bits: the same as `_on_grid`, several times faster."""
    import numpy as np

    bits = (uniform * np.float32(2**16)).astype(np.uint32)
    bits += np.ascontiguousarray(values).view(np.uint32)
    bits >>= np.uint32(16)
    return bits.astype(np.uint16).view(numpy_dtype("BF16"))


def _on_grid(values: NDArray[Any], dtype: str, uniform: NDArray[Any]) -> NDArray[Any]:
    """Round to a type; every step but the comparison is exact."""
    import numpy as np

    digits, lowest = GRIDS[dtype]
    magnitudes = np.abs(values.astype(np.float64))
    steps = magnitudes.view(np.int64) >> 52
    np.maximum(steps, lowest + 1023, out=steps)
    steps -= digits - 1
    steps <<= 52
    sizes = steps.view(np.float64)  # of the step between neighbours around each number
    magnitudes /= sizes
    whole = np.floor(magnitudes)
    magnitudes -= whole
    magnitudes += uniform
    whole += magnitudes >= 1
    whole *= sizes
    found: NDArray[Any] = np.copysign(whole, values).astype(numpy_dtype(dtype))
    return found
