"""Singular directions of task matrices: decompose them, make them orthogonal to each other, put them together again.

A direction without strength, one whose singular value is 0 but for rounding, is an arbitrary one: what a library
returns for it says nothing about the matrix. All functions here hold such directions at 0, so that neither a task
vector of low rank nor several equal ones let arbitrary directions into the outcome.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..reduction import Array

if TYPE_CHECKING:
    from ..method import Context

OVERSAMPLING = 10  # columns of a random test matrix beyond the wanted rank
POWER_ITERATIONS = 2


class Factors(NamedTuple):
    """A matrix as ``left @ diag(values) @ right``; columns of left and rows of right are directions.

    Attributes:
        left: One direction per column.
        values: Their strengths.
        right: One direction per row.
    """

    left: Array
    values: Array
    right: Array


def decompose(matrix: Array, rank: int, context: Context, *, randomized: bool = False, floor: float = 0) -> Factors:
    """Return the strongest directions of a matrix, at most as many as its shorter side.

    Args:
        matrix: The matrix.
        rank: How many.
        context: Gives the namespace, and the test matrix of a randomized decomposition.
        randomized: Approximate them; where that would save nothing, it is not done.
        floor: Directions up to this strength are none.
    """
    xp = context.xp
    approximate = randomized and rank + OVERSAMPLING < min(matrix.shape)
    basis = _range_basis(matrix, rank + OVERSAMPLING, context) if approximate else None
    left, values, right = xp.linalg.svd(matrix if basis is None else basis.T @ matrix, full_matrices=False)
    left = left[:, :rank] if basis is None else basis @ left[:, :rank]
    strong = xp.astype(values > max(floor, negligible(matrix, float(values[0]), xp)), values.dtype)[:rank]
    return Factors(left * strong, values[:rank] * strong, right[:rank, :] * strong[:, None])


def negligible(matrix: Array, strength: float, xp: Any) -> float:
    """Return up to which singular value a direction is rounding, in a matrix whose largest one is known."""
    return 4 * math.sqrt(max(matrix.shape)) * float(xp.finfo(matrix.dtype).eps) * strength


def _range_basis(matrix: Array, columns: int, context: Context) -> Array:
    """Return an orthonormal basis of nearly all that a matrix of almost this rank reaches.

    Halko, Martinsson and Tropp 2011, "Finding structure with randomness", algorithm 4.4, with test entries from
    [-1/2, 1/2). All models get the same test matrix, so that their order does not matter.
    """
    xp = context.xp
    numbers = context.uniform(matrix, 0).reshape(-1)[: matrix.shape[1] * columns]
    test = xp.astype(numbers, matrix.dtype).reshape((matrix.shape[1], columns)) - 0.5
    basis = xp.linalg.qr(matrix @ test)[0]
    for _ in range(POWER_ITERATIONS):
        basis = xp.linalg.qr(matrix.T @ basis)[0]
        basis = xp.linalg.qr(matrix @ basis)[0]
    return basis


def joined(parts: Sequence[Factors], xp: Any) -> Factors:
    """Return the directions of several decompositions side by side."""
    lefts, values, rights = zip(*parts, strict=True)
    return Factors(xp.concat(lefts, axis=1), xp.concat(values), xp.concat(rights, axis=0))


def orthogonalized(factors: Factors, xp: Any) -> Factors:
    """Return factors whose left and right directions are the nearest orthonormal ones: the Procrustes problem."""
    return Factors(polar(factors.left, xp), factors.values, polar(factors.right, xp))


def polar(matrix: Array, xp: Any) -> Array:
    """Return the orthogonal polar factor: the matrix with every singular value made 1, those without strength 0."""
    left, values, right = xp.linalg.svd(matrix, full_matrices=False)
    strong = xp.astype(values > negligible(matrix, float(values[0]), xp), values.dtype)
    return (left * strong) @ right


def composed(factors: Factors) -> Array:
    """Return the matrix."""
    return (factors.left * factors.values) @ factors.right


def isotropic(factors: Factors, xp: Any) -> Factors:
    """Return factors in which every direction that has strength has the mean of their strengths."""
    strong = xp.astype(factors.values > 0, factors.values.dtype)
    mean = float(xp.sum(factors.values)) / max(float(xp.sum(strong)), 1.0)
    return Factors(factors.left, strong * mean, factors.right)
