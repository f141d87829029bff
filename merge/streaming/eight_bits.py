"""From float32 to 8-bit floats by whole-number arithmetic: several times faster than the conversion of ml_dtypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FORMS = {"F8_E4M3": (3, 7), "F8_E5M2": (2, 15)}  # bits of the mantissa, bias of the exponent
_MANTISSA, _BIAS = 23, 127  # of float32


def eight_bits(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Return the bits of the nearest 8-bit floats, of two the one with an even last bit.

    Args:
        values: Float32, finite, none of them beyond the largest 8-bit float.
        dtype: Format code of a type that is known here.
    """
    import numpy as np

    mantissa, bias = _FORMS[dtype]
    cut = _MANTISSA - mantissa
    bits = np.ascontiguousarray(values).view(np.uint32)
    magnitudes = bits & np.uint32(0x7FFFFFFF)
    rounded = (magnitudes >> np.uint32(cut)) & np.uint32(1)
    rounded += magnitudes
    rounded += np.uint32((1 << (cut - 1)) - 1)
    rounded >>= np.uint32(cut)
    rounded -= np.uint32((_BIAS - bias) << mantissa)
    small = magnitudes < np.uint32((_BIAS + 1 - bias) << _MANTISSA)
    if small.any():
        # Next to this number float32 has the steps of the smallest 8-bit floats, so adding it rounds to them.
        far = np.float32(2.0 ** (_MANTISSA + 1 - bias - mantissa))
        rounded[small] = (magnitudes[small].view(np.float32) + far).view(np.uint32) - far.view(np.uint32)
    rounded |= (bits >> np.uint32(24)) & np.uint32(0x80)
    return rounded.astype(np.uint8)
