"""Sums of products of factors that are a product of factors again: c_1 B_1 A_1 + … + c_k B_k A_k.

Exactly, by laying the factors side by side: [c_1 B_1, …, c_k B_k] · [A_1; …; A_k], whose rank is the sum of the ranks.
Or the nearest product of a smaller rank (Eckart and Young 1936), from triangular factors of the two long matrices:
B = Q R and Aᵀ = P S give B A = Q (R Sᵀ) Pᵀ, and R Sᵀ is only as large as the sum of the ranks. The matrix itself is
never formed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ...streaming.rounding import rounded
from ..blas import one_blas_thread
from ..low_rank.truncation import Truncation

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Term(NamedTuple):
    """One product of a sum: coefficient · b · a, with a [rank, inputs] and b [outputs, rank] in float64."""

    coefficient: float
    a: NDArray[Any]
    b: NDArray[Any]


class Sum(NamedTuple):
    """A sum as one product.

    Attributes:
        a: [rank, inputs], in the type in which it is stored.
        b: [outputs, rank].
        scaling: Factor of their product.
        norm: Root of the sum's sum of squares, or None where nothing is cut.
        error: That of what the product lacks.
    """

    a: NDArray[Any]
    b: NDArray[Any]
    scaling: float = 1.0
    norm: float | None = None
    error: float = 0.0


class Spectrum(NamedTuple):
    """A sum by its singular values: left [outputs, n] and right [n, inputs] are orthonormal, values fall."""

    left: NDArray[Any]
    values: NDArray[Any]
    right: NDArray[Any]


def side_by_side(terms: Sequence[Term], dtype: str) -> Sum:
    """Return a sum as one product of factors; where all coefficients are equal, no entry of a factor changes."""
    a, b, scaling = _joined(terms)
    return Sum(rounded(a, dtype), rounded(b, dtype), scaling)


def truncated(terms: Sequence[Term], truncation: Truncation, dtype: str) -> Sum:
    """Return the nearest product of a smaller rank, each direction's strength in equal parts in both factors."""
    found = spectrum(terms)
    total = math.sqrt(float(found.values @ found.values))
    rank = _rank(found.values, truncation)
    while True:
        a, b = _factors(found, rank, dtype)
        error = distance(terms, a, b)
        enough = truncation.energy is None or error <= total * math.sqrt(1 - truncation.energy)
        if enough or rank >= _most(found.values, truncation):
            return Sum(a, b, 1.0, total, error)
        rank += 1  # what rounding the factors took is given back


def spectrum(terms: Sequence[Term]) -> Spectrum:
    """Return the singular values and vectors of a sum, without forming it."""
    import numpy as np

    a, b, scaling = _joined(terms)
    with one_blas_thread():
        outer, left = np.linalg.qr(b)
        inner, right = np.linalg.qr(a.T)
        u, values, vt = np.linalg.svd(left @ right.T * scaling, full_matrices=False)
        return Spectrum(outer @ u, values, vt @ inner.T)


def distance(terms: Sequence[Term], a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return the norm of a sum less a product, which is a sum of products too."""
    import numpy as np

    values = spectrum([*terms, Term(-1.0, a.astype(np.float64), b.astype(np.float64))]).values
    return math.sqrt(float(values @ values))


def _joined(terms: Sequence[Term]) -> tuple[NDArray[Any], NDArray[Any], float]:
    """Return the factors side by side, and what their product is still to be multiplied with."""
    import numpy as np

    first = terms[0].coefficient
    scaling = first if all(term.coefficient == first for term in terms) else 1.0
    a = np.concatenate([term.a for term in terms], axis=0)
    b = np.concatenate([term.b * (term.coefficient / scaling) for term in terms], axis=1)
    return a, b, scaling


def _rank(values: NDArray[Any], truncation: Truncation) -> int:
    """Return how many directions are kept, at least one."""
    import numpy as np

    most = _most(values, truncation)
    if truncation.energy is None or not values[0]:
        return most if truncation.energy is None else 1
    kept = np.cumsum(values**2)
    strong = int((values > len(values) * np.finfo(np.float64).eps * values[0]).sum())  # the others are rounding
    return max(1, min(most, strong, int(np.searchsorted(kept, truncation.energy * kept[-1])) + 1))


def _most(values: NDArray[Any], truncation: Truncation) -> int:
    limit = truncation.rank if truncation.rank is not None else truncation.max_rank
    return len(values) if limit is None else min(limit, len(values))


def _factors(found: Spectrum, rank: int, dtype: str) -> tuple[NDArray[Any], NDArray[Any]]:
    import numpy as np

    roots = np.sqrt(found.values[:rank])
    return rounded(found.right[:rank] * roots[:, None], dtype), rounded(found.left[:, :rank] * roots, dtype)
