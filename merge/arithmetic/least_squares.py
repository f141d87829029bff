"""The matrix that fits several models' outputs best on their own inputs, from Gram matrices of these inputs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

Array = Any
FIRST_RIDGE = 1e-8  # of the mean diagonal; only where the factorisation fails without
GROWTH = 10.0


class Solved(NamedTuple):
    """The solution of a regression.

    Attributes:
        matrix: Of float64, [outputs, inputs].
        condition: Estimate of the condition number of the summed Gram matrices, in the 1-norm, with the ridge.
        ridge: What was added to their diagonal; 0 where they could be factorised as they are.
        is_average: Whether all Gram matrices are 0, so that nothing is known and the average is taken.
    """

    matrix: Array
    condition: float
    ridge: float
    is_average: bool = False


def merge_by_grams(terms: Iterable[tuple[float, Array, Array]], off_diagonal: float, xp: Any) -> Solved:
    """Solve sum_i c_i G_i W^T = sum_i c_i G_i W_i^T for W, in float64, by Cholesky's factorisation.

    Off the diagonal, every G_i is multiplied by `off_diagonal` first (Jin et al. 2022, arXiv:2212.09849). Where the sum
    cannot be factorised, since some direction or input never occurred, a ridge pulls towards the average of the W_i:

        (sum_i c_i G_i + r I) W^T = sum_i c_i G_i W_i^T + r sum_i c_i W_i^T / sum_i c_i

    with the first r of 1e-8, 1e-7, … times the mean diagonal that does. An input that occurred nowhere so keeps the
    average of its weights.

    Args:
        terms: For each model c_i >= 0, the Gram matrix [inputs, inputs], and the weight [outputs, inputs]. Taken one
            after the other, so that only one Gram matrix besides the sum need be in memory.
        off_diagonal: Between 0 and 1.
        xp: The array API namespace of the arrays.

    Raises:
        ValueError: A Gram matrix is not finite, or no ridge helps: they are not positive.
    """
    total: Array = None
    right: Array = None
    average: Array = None
    share = 0.0
    for coefficient, gram, matrix in terms:
        scaled, wide = _scaled(gram, coefficient, off_diagonal, xp), xp.astype(matrix, xp.float64)
        product, own = scaled @ wide.T, wide * coefficient
        if total is None:
            total, right, average = scaled, product, own
        else:
            total += scaled
            right += product
            average += own
        share += coefficient
    if total is None or share <= 0:
        raise ValueError("there is nothing to solve: no model has a weight above 0")
    return solve_towards(total, right, average / share, xp)


def _scaled(gram: Array, coefficient: float, off_diagonal: float, xp: Any) -> Array:
    """Return a copy of a Gram matrix with everything multiplied by the coefficient, and all but the diagonal scaled."""
    scaled = xp.astype(gram, xp.float64, copy=True)
    if not xp.all(xp.isfinite(scaled)):
        raise ValueError("its Gram matrix holds an infinity or NaN")
    numbers = xp.arange(scaled.shape[0])
    diagonal = xp.asarray(scaled[numbers, numbers], copy=True)
    scaled *= off_diagonal
    scaled[numbers, numbers] = diagonal
    scaled *= coefficient
    return scaled


def solve_towards(total: Array, right: Array, average: Array, xp: Any, first: float = 0.0) -> Solved:
    """Solve (G + r I) W^T = R + r A^T for W, with the first r that lets it be factorised.

    Args:
        total: G [inputs, inputs] in float64, symmetric, which is written to.
        right: R [inputs, outputs], which is written to.
        average: A [outputs, inputs], which a ridge pulls towards.
        xp: The array API namespace of the arrays.
        first: The first r, as a share of G's mean diagonal; infinite: the average itself.

    Raises:
        ValueError: No ridge helps: G is not positive.
    """
    solve = _solve_torch if hasattr(total, "detach") else _solve_numpy
    numbers = xp.arange(total.shape[0])
    mean = float(xp.mean(total[numbers, numbers]))
    if mean == 0 or math.isinf(first):
        return Solved(average, float("inf"), 0.0, is_average=True)
    ridge, following, found = 0.0, first * mean, None
    while found is None and (ridge < mean or not ridge):
        total[numbers, numbers] += following - ridge
        right += (following - ridge) * average.T
        ridge, found = following, solve(total, right)
        following = ridge * GROWTH or FIRST_RIDGE * mean
    if found is None:
        raise ValueError("the sum of its Gram matrices is not positive: they are no inner products")
    return Solved(found[0].T, found[1], ridge)


def _solve_numpy(total: Array, right: Array) -> tuple[Array, float] | None:
    """Return the solution and the condition, or None where there is no factorisation."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    try:
        factor = cho_factor(total, lower=True, check_finite=False)
    except LinAlgError:
        return None
    return cho_solve(factor, right, check_finite=False), _condition(total, factor[0])


def _solve_torch(total: Array, right: Array) -> tuple[Array, float] | None:
    """Do the same with torch, on its device."""
    import torch

    factor, failed = torch.linalg.cholesky_ex(total)
    if int(failed):
        return None
    return torch.cholesky_solve(right, factor), _condition(total.cpu().numpy(), factor.cpu().numpy())


def _condition(total: Array, factor: Array) -> float:
    """Return an estimate of the condition number from a lower Cholesky factor."""
    from scipy.linalg.lapack import dpocon

    reciprocal, _ = dpocon(factor, abs(total).sum(axis=0).max(), uplo=b"L")
    return float(1 / reciprocal) if reciprocal else float("inf")
