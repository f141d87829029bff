"""What is lost where the output's type has a narrower range than the inputs': numbers too small for it become 0."""

from __future__ import annotations

from collections.abc import Mapping

from ..planning.rows import Row

# Bits of the exponent, which give the range; and the smallest number above 0.
_EXPONENTS = {"F64": 11, "F32": 8, "BF16": 8, "F16": 5, "F8_E5M2": 5, "F8_E5M2FNUZ": 5, "F8_E4M3": 4, "F8_E4M3FNUZ": 4}
_SMALLEST = {"F16": 2.0**-24, "F8_E5M2": 2.0**-16, "F8_E5M2FNUZ": 2.0**-17, "F8_E4M3": 2.0**-9, "F8_E4M3FNUZ": 2.0**-10}
LARGEST = {"F16": "65504", "F8_E5M2": "57344", "F8_E5M2FNUZ": "57344", "F8_E4M3": "448", "F8_E4M3FNUZ": "240"}


def narrows(row: Row) -> bool:
    """Tell whether the outcome's type cannot hold numbers that an input's type holds."""
    if row.dtype not in _SMALLEST or row.scales is not None:
        return False
    own = _EXPONENTS[row.dtype]
    return any(tensor and _EXPONENTS.get(tensor.dtype, 0) > own for tensor in row.tensors)


def narrowing_remarks(vanished: Mapping[str, int]) -> list[str]:
    """Return what a user should know of the numbers that became 0, counted by the type that cannot hold them."""
    return [
        f"{count:,} numbers became 0, too small for {dtype}, whose smallest is {_SMALLEST[dtype]:.2g}"
        for dtype, count in sorted(vanished.items())
        if count
    ]
