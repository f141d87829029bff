"""Sign consensus: what agrees with the weighted majority is summed or averaged.

Yadav et al. 2023, "TIES-Merging: resolving interference when merging models", arXiv:2306.01708, section 4, steps 2 and
3. Entries that are exactly 0 neither vote nor count; a sum of 0 counts as positive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..reduction import Array


def majority(total: Array, xp: Any) -> Array:
    """Return the sign of a sum of task vectors, 1 or -1."""
    return xp.copysign(xp.ones_like(total), total + 0.0)  # -0 + 0 is 0: a sum of 0 counts as positive


def agreeing_sum(
    arrays: Sequence[Array], weights: Sequence[float], xp: Any, *, normalize: bool, sign: Array | None = None
) -> Array:
    """Return the sum of the weighted arrays that have the majority's sign, entry by entry.

    Args:
        arrays: Task vectors, which are overwritten.
        weights: A factor of each; a negative one turns its vote round.
        xp: The arrays' namespace.
        normalize: Divide by the sum of the weights of those that agree. Where it is 0, since nothing agrees or
            weights of both signs cancel, the sum stands.
        sign: Elected already; otherwise by the weighted arrays.
    """
    votes = xp.zeros_like(arrays[0])
    for array, weight in zip(arrays, weights, strict=True):
        array *= weight
        votes += array
    sign = majority(votes, xp) if sign is None else sign
    total, divisor = xp.zeros_like(votes), xp.zeros_like(votes)
    for array, weight in zip(arrays, weights, strict=True):
        array *= sign  # now positive exactly where it agrees with the majority
        if normalize:
            divisor += xp.astype(array > 0, votes.dtype) * weight
        total += xp.clip(array, 0, None)
    total *= sign
    if normalize:
        divisor += divisor == 0
        total /= divisor
    return total


def weighted_sum(arrays: Sequence[Array], weights: Sequence[float], *, normalize: bool) -> Array:
    """Return the weighted sum of arrays, which are overwritten; divided by the sum of the weights if asked for."""
    divisor = sum(weights) if normalize else 1.0
    total = arrays[0]
    total *= weights[0] / divisor
    for array, weight in zip(arrays[1:], weights[1:], strict=True):
        array *= weight / divisor
        total += array
    return total
