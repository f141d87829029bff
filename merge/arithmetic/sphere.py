"""Directions of tensors: from their inner products alone, or along an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..reduction import Array

GramMatrix = Sequence[Sequence[float]]
NO_LENGTH = 1e-7  # lengths of unit vectors' sums, and sines, are not known better than this from inner products


def length(gram: GramMatrix, position: int) -> float:
    """Return the Euclidean norm of an array."""
    return math.sqrt(max(gram[position][position], 0.0))


def cosine(gram: GramMatrix, first: int, second: int, *, otherwise: float = 1.0) -> float:
    """Return the cosine of the angle between two arrays, within [-1, 1]; `otherwise` where one of them is 0.

    Of an array and its copy it is exactly 1.
    """
    product = length(gram, first) * length(gram, second)
    if product <= 0:
        return otherwise
    if gram[first][first] == gram[second][second]:
        product = gram[first][first]
    return min(max(gram[first][second] / product, -1.0), 1.0)


def sum_length(gram: GramMatrix, factors: Sequence[float]) -> float:
    """Return the length of a weighted sum of arrays."""
    products = (
        first * second * product
        for first, row in zip(factors, gram, strict=True)
        for second, product in zip(factors, row, strict=True)
    )
    return math.sqrt(max(math.fsum(products), 0.0))


def cosines_along(first: Array, second: Array, axis: int, xp: Any, *, otherwise: float = 1.0) -> Array:
    """Return the cosines of the angles between vectors along an axis, in float64; `otherwise` where one is 0."""

    def inner(one: Array, other: Array) -> Array:
        return xp.sum(one * other, axis=axis, keepdims=True, dtype=xp.float64)

    product = xp.sqrt(inner(first, first)) * xp.sqrt(inner(second, second))
    known = product > 0
    cosines = xp.clip(inner(first, second) / xp.where(known, product, 1.0), -1.0, 1.0)
    return xp.where(known, cosines, otherwise)


def karcher_mean(cosines: GramMatrix, steps: int, tolerance: float) -> list[float]:
    """Return the factors of unit vectors in their mean on the sphere, that with the least sum of squared angles.

    Starting at the direction of their sum (of the first, where they cancel), every step walks the mean of the arcs
    to all of them, until that is shorter than the tolerance.

    Args:
        cosines: Inner products of the unit vectors.
        steps: Most steps.
        tolerance: In radians.
    """
    count = len(cosines)
    whole = sum_length(cosines, [1.0] * count)
    mean = [1 / whole] * count if whole > NO_LENGTH else [1.0] + [0.0] * (count - 1)
    for _ in range(steps):
        step = _mean_arc(cosines, mean)
        angle = sum_length(cosines, step)
        if angle < tolerance or angle == 0:
            break
        along, across = math.cos(angle), math.sin(angle) / angle
        mean = [along * old + across * new for old, new in zip(mean, step, strict=True)]
        stretch = sum_length(cosines, mean)
        mean = [factor / stretch for factor in mean]
    return mean


def _mean_arc(cosines: GramMatrix, point: Sequence[float]) -> list[float]:
    """Return the mean of the tangents at a point whose lengths are the angles to all unit vectors."""
    count = len(cosines)
    total = [0.0] * count
    for number, row in enumerate(cosines):
        along = min(max(math.fsum(map(math.prod, zip(point, row, strict=True))), -1.0), 1.0)
        sine = math.sqrt(1 - along * along)
        ratio = math.acos(along) / sine if sine > NO_LENGTH else 1.0  # of the opposite point no arc is the shortest
        for position, factor in enumerate(point):
            total[position] += ratio * ((position == number) - along * factor) / count
    return total
