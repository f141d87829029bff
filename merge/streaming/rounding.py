"""Round float64 to float32 so that one more rounding, to a narrower type, is the only one that counts."""

from __future__ import annotations

from typing import Any


def round_to_odd(array: Any, xp: Any) -> Any:
    """Return the float32 neighbour with an odd last bit where the value is not exact.

    Rounding to nearest twice can end on the wrong side of a tie. An odd last bit remembers that something was cut
    off, so the second rounding decides as if it had seen the whole number (Boldo and Melquiond 2008, "Emulation of
    FMA and correctly rounded sums", IEEE Transactions on Computers 57(4), section 3). Works on numpy and torch.
    """
    near = array.astype(xp.float32) if hasattr(array, "astype") else array.to(xp.float32)
    back = near.astype(xp.float64) if hasattr(near, "astype") else near.to(xp.float64)
    bits = near.view(xp.int32)
    even = (back != array) & ((bits & 1) == 0) & ~xp.isnan(array)
    outwards = xp.abs(array) > xp.abs(back)
    bits[even & outwards] += 1
    bits[even & ~outwards] -= 1
    return near
