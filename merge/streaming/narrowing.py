"""What the floating types can hold, and where the output's type has a narrower range than the inputs'."""

from __future__ import annotations

from ..planning.rows import Row

# Bits of the exponent, which give the range; the smallest number above 0 and the largest one.
_EXPONENTS = {"F64": 11, "F32": 8, "BF16": 8, "F16": 5, "F8_E5M2": 5, "F8_E5M2FNUZ": 5, "F8_E4M3": 4, "F8_E4M3FNUZ": 4}
SMALLEST = {"F16": 2.0**-24, "F8_E5M2": 2.0**-16, "F8_E5M2FNUZ": 2.0**-17, "F8_E4M3": 2.0**-9, "F8_E4M3FNUZ": 2.0**-10}
LARGEST = {
    "F64": (2 - 2.0**-52) * 2.0**1023,
    "F32": (2 - 2.0**-23) * 2.0**127,
    "BF16": (2 - 2.0**-7) * 2.0**127,
    "F16": 65504.0,
    "F8_E5M2": 57344.0,
    "F8_E5M2FNUZ": 57344.0,
    "F8_E4M3": 448.0,
    "F8_E4M3FNUZ": 240.0,
}
# Significant bits, and exponent of the smallest normal number, of the types of at most 16 bits.
GRIDS = {
    "BF16": (8, -126),
    "F16": (11, -14),
    "F8_E5M2": (3, -14),
    "F8_E5M2FNUZ": (3, -15),
    "F8_E4M3": (4, -6),
    "F8_E4M3FNUZ": (4, -7),
}


def narrows(row: Row) -> bool:
    """Tell whether the outcome's type cannot hold numbers that an input's type holds."""
    if row.dtype not in SMALLEST or row.scales is not None:
        return False
    own = _EXPONENTS[row.dtype]
    return any(tensor and _EXPONENTS.get(tensor.dtype, 0) > own for tensor in row.tensors)
