"""Averages in which every entry of every model has an importance of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..reduction import Array


def floored(information: Array, norm: float, floor: float, floor_on: str, is_target: bool, xp: Any) -> Array:
    """Return max(F, floor) / norm of the target or of ``all``; ``after-norm``, the target's max(F / norm, floor)."""
    if floor_on == "after-norm":
        return _at_least(information / norm, floor, xp) if is_target else information / norm
    return (_at_least(information, floor, xp) if is_target or floor_on == "all" else information) / norm


def _at_least(array: Array, floor: float, xp: Any) -> Array:
    """Return max(array, floor), entry by entry."""
    return xp.where(array < floor, xp.full_like(array, floor), array)


def importance_average(terms: Iterable[tuple[Array, Array]], xp: Any) -> Array:
    """Return sum_i f_i x_i / sum_i f_i of pairs (x_i, f_i >= 0), both overwritten; where nothing counts, the first x.

    An average never leaves the range of what it averages; the outcome is held in it, since rounding might.
    """
    pairs = iter(terms)
    above, total = next(pairs)
    first, low, high = (xp.asarray(above, copy=True) for _ in range(3))
    above *= total
    for array, factor in pairs:
        low, high = xp.minimum(low, array), xp.maximum(high, array)
        total += factor
        array *= factor
        above += array
    undecided = total == 0
    total += xp.astype(undecided, above.dtype)
    above /= total
    return xp.where(undecided, first, xp.minimum(xp.maximum(above, low), high))
