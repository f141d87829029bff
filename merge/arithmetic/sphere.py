"""Directions of tensors, from their inner products alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

GramMatrix = Sequence[Sequence[float]]


def length(gram: GramMatrix, position: int) -> float:
    """Return the Euclidean norm of an array."""
    return math.sqrt(max(gram[position][position], 0.0))


def cosine(gram: GramMatrix, first: int, second: int) -> float:
    """Return the cosine of the angle between two arrays, within [-1, 1]; 1 where one of them is 0."""
    product = length(gram, first) * length(gram, second)
    return min(max(gram[first][second] / product, -1.0), 1.0) if product > 0 else 1.0
