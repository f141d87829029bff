"""Random numbers by position: the same whatever is drawn before, beside or on another device."""

from __future__ import annotations

from typing import Any

import numpy as np

_PER_STEP = 8  # 32-bit numbers that one step of the counter gives


def random_floats(key: int, first: int, count: int) -> Any:
    """Return the float32 numbers in [0, 1) at positions ``first`` to ``first + count`` of a key's stream.

    The stream is Philox4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), cut into 32 bits,
    low half first, of which the upper 24 count.

    Args:
        key: 128 bits.
        first: First position.
        count: How many.
    """
    step, ahead = divmod(first, _PER_STEP)
    raw = np.random.Philox(key=key, counter=step).random_raw((ahead + count + 1) // 2).astype("<u8", copy=False)
    bits = raw.view("<u4")[ahead : ahead + count]
    bits >>= 8
    floats = bits.astype(np.float32)
    floats *= np.float32(2**-24)
    return floats
