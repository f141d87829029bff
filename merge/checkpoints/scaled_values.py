"""8-bit floats times the scales of their blocks, rounded once, whatever range is asked for.

An 8-bit float has 256 values, so a block has as many products: they are computed exactly (in float64, which holds the
product of 4 and 24 significant bits), rounded once, and looked up.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..dtypes import numpy_dtype
from .files import Buffer
from .header import TensorInfo
from .scaled_layout import POWERS, Scaled

if TYPE_CHECKING:
    from numpy.typing import NDArray

ReadPart = Callable[[TensorInfo, int, Buffer], None]
AT_ONCE = 2**18  # entries looked up at a time
_POWER_BIAS, _NO_POWER = 127, 255  # of powers of two in a byte: the exponent's bias, and what stands for no number
KEPT = 64  # scales of so many tensors stay in memory; each is some kilobytes


class ScaledValues:
    """Computes ranges of scaled weights. Any number of threads may ask.

    Args:
        dtype: Format code of the outcome, of 16 bits.
        read: Reads tensors of the checkpoint beneath.
    """

    def __init__(self, dtype: str, read: ReadPart) -> None:
        self._dtype, self._read = dtype, read
        self._scales: OrderedDict[str, NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def read_into(self, scaled: Scaled, offset: int, buffer: Buffer, codes: Buffer | None = None) -> None:
        """Fill the buffer with the outcome's bytes from this byte offset within it.

        Args:
            scaled: What is read.
            offset: Of the first byte.
            buffer: For the outcome.
            codes: Takes the 8-bit floats of the same entries, which must be whole.
        """
        import numpy as np

        first, last = offset // 2, -(-(offset + len(buffer)) // 2)
        whole = offset == first * 2 and len(buffer) == (last - first) * 2
        out = np.frombuffer(buffer, np.uint16) if whole else np.empty(last - first, np.uint16)
        self._fill(scaled, first, out, codes)
        if not whole:
            buffer[:] = out.view(np.uint8).data[offset - first * 2 :][: len(buffer)]

    def scales_of(self, scaled: Scaled) -> bytes:
        """Return the bytes of a weight's scales."""
        return packed_scales(self._scale(scaled), scaled.scale.dtype)  # to float64 and back

    def _fill(self, scaled: Scaled, first: int, out: NDArray[Any], kept: Buffer | None) -> None:
        """Compute entries from ``first`` on: parts of rows at the ends, whole rows in between."""
        import numpy as np

        width, done = max(1, scaled.weight.shape[-1] if scaled.weight.shape else 1), 0
        scratch = np.empty(min(len(out), AT_ONCE) if kept is None else 0, np.uint8)
        while done < len(out):
            row, column = divmod(first + done, width)
            left = len(out) - done
            if column or left < width or width > AT_ONCE:
                shape = 1, min(left, width - column, AT_ONCE)
            else:
                shape = min(left // width, AT_ONCE // width), width
            count = shape[0] * shape[1]
            codes = scratch[:count] if kept is None else np.frombuffer(kept, np.uint8)[done : done + count]
            self._read(scaled.weight, first + done, codes.data)
            self._look_up(scaled, codes.reshape(shape), row, column, out[done : done + count].reshape(shape))
            done += count

    def _look_up(self, scaled: Scaled, codes: NDArray[Any], row: int, column: int, out: NDArray[Any]) -> None:
        """Write the values of a rectangle of entries.

        Args:
            scaled: What they are of.
            codes: The entries; [rows, columns].
            row: Of the first of them, counted over all matrices where there are several.
            column: Of the first of them.
            out: The bits of the outcome; [rows, columns].
        """
        import numpy as np

        across = (np.arange(column, column + codes.shape[1]) // scaled.block[1]) * 256
        down = self._block_rows(scaled, np.arange(row, row + codes.shape[0]))
        scales = self._scale(scaled)[down[0] : down[-1] + 1]
        table = self._products(scaled.weight.dtype, scales).reshape(-1)
        places = codes + across[None, :]
        if down[-1] != down[0]:
            places += ((down - down[0]) * (scales.shape[1] * 256))[:, None]
        np.take(table, places, out=out, mode="clip")  # unlike the default, this writes right into the outcome

    @staticmethod
    def _block_rows(scaled: Scaled, rows: NDArray[Any]) -> NDArray[Any]:
        """Return the row of blocks in which each row of entries lies; every matrix of several has rows of its own."""
        height = max(1, (1, *scaled.weight.shape)[-2])
        matrix, within = rows // height, rows % height
        if scaled.scale.elements > 1:
            matrix = matrix * -(-height // scaled.block[0]) + within // scaled.block[0]
        else:
            matrix = matrix * 0
        found: NDArray[Any] = matrix
        return found

    def _products(self, dtype: str, scales: NDArray[Any]) -> NDArray[Any]:
        """Return the bits of every 8-bit float times each scale; [block rows, block columns, 256]."""
        import numpy as np

        from ..streaming.rounding import single_rounding

        values = np.arange(256, dtype=np.uint8).view(numpy_dtype(dtype)).astype(np.float64)
        with np.errstate(all="ignore"):  # the engine looks for what is not finite, and names the tensor
            products = scales[..., None] * values
            if self._dtype != "F16":  # to which float64 is rounded once anyway
                products = single_rounding(products, np)
            bits: NDArray[Any] = products.astype(numpy_dtype(self._dtype)).view(np.uint16)
        return bits

    def _scale(self, scaled: Scaled) -> NDArray[Any]:
        """Return a tensor's scales in float64; [block rows of all matrices, block columns]."""
        import numpy as np

        name = scaled.scale.name
        with self._lock:
            known = self._scales.get(name)
            if known is not None:
                self._scales.move_to_end(name)
                return known
        raw = np.empty(scaled.scale.nbytes, np.uint8)
        self._read(scaled.scale, 0, raw.data)
        shape = (1, *scaled.scale.shape)[-2:] if scaled.scale.elements > 1 else (1, 1)
        found = _unpacked_scales(raw, scaled.scale.dtype).reshape(-1, math.prod(shape[1:]))
        with self._lock:
            self._scales[name] = found
            while len(self._scales) > KEPT:
                self._scales.popitem(last=False)
        return found


def _unpacked_scales(raw: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Return scales in float64."""
    import numpy as np

    if dtype != POWERS:
        wide: NDArray[Any] = raw.view(numpy_dtype(dtype)).astype(np.float64)
        return wide
    found: NDArray[Any] = np.where(raw == _NO_POWER, np.nan, np.ldexp(1.0, raw.astype(np.int32) - _POWER_BIAS))
    return found


def packed_scales(scales: NDArray[Any], dtype: str) -> bytes:
    """Return the bytes of scales of which every one is a number of this type."""
    import numpy as np

    if dtype != POWERS:
        return bytes(scales.astype(numpy_dtype(dtype)).tobytes())
    powers = np.where(np.isfinite(scales), np.frexp(scales)[1] - 1 + _POWER_BIAS, _NO_POWER)
    return bytes(powers.astype(np.uint8).tobytes())
