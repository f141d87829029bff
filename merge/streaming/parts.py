"""Random parts of a tensor: to which of them each entry belongs.

aTLAS learns a coefficient for each of K random parts of a tensor. Which entries form a part follows from a seed and the
tensor's name alone, so from no chunk, thread or other tensor, and not from the shape either: tensors of one shape have
parts of their own. Each entry belongs to each part with the same probability, and to one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xxhash

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_PARTS = 256  # so that a byte holds the number of a part


def parts_key(seed: int, name: str) -> int:
    """Return the key of the stream of random numbers from which a tensor's parts follow."""
    return xxhash.xxh3_128_intdigest(f"parts\0{seed}\0{name}".encode())


def parts_from(uniform: Any, count: int, xp: Any) -> Any:
    """Return the part, int64 from 0 to ``count`` - 1, of each entry from its random number in [0, 1)."""
    return xp.astype(xp.floor(uniform * count), xp.int64)


def parts_of(name: str, elements: int, count: int, seed: int) -> NDArray[np.uint8]:
    """Return the part of every entry of a tensor [elements]."""
    import numpy as np

    from .random_bits import random_floats

    parts: NDArray[np.uint8] = parts_from(random_floats(parts_key(seed, name), 0, elements), count, np).astype(np.uint8)
    return parts
