"""A matrix ▸ two thin factors whose product is the best approximation of it of that rank, or nearly.

The best one has the strongest singular directions (Eckart and Young 1936, "The approximation of one matrix by another
of lower rank"). Those of small matrices are computed exactly, those of large ones within a random sketch (`sketching`).
The strength of a direction goes to both factors in equal parts, by its root: neither then has entries much larger
than the other's, which 16-bit floats hold best and training goes on best from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import MergeError
from ...reduction import Array
from ...streaming.rounding import rounded
from ..blas import one_blas_thread
from .libraries import Library
from .sketching import OVERSAMPLING, sketch
from .truncation import Truncation

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXACT_SIDE = 384  # up to this shorter side, an exact decomposition costs little more than a sketch


@dataclass(frozen=True)
class Factors:
    """A matrix of [outputs, inputs] as ``b @ a``.

    Attributes:
        a: [rank, inputs], in the type in which it is stored.
        b: [outputs, rank].
        norm: Root of the matrix's sum of squares.
        error: That of what the product of the stored factors lacks.
    """

    a: NDArray[Any]
    b: NDArray[Any]
    norm: float
    error: float

    @property
    def rank(self) -> int:
        """Number of directions."""
        return int(self.a.shape[0])

    @property
    def energy(self) -> float:
        """Share of the matrix's sum of squares that the product keeps: 1 - (error / norm)^2."""
        return 1.0 - (self.error / self.norm) ** 2 if self.norm else 1.0


def factorise(
    matrix: NDArray[Any], truncation: Truncation, name: str, *, dtype: str = "F32", device: str = "cpu"
) -> Factors | None:
    """Return the factors of a matrix, or None for a matrix of zeros.

    The same matrix and name give the same bytes, on a CPU with the same libraries, whatever else runs.

    Args:
        matrix: [outputs, inputs], float32 or float64, finite.
        truncation: What is kept of it.
        name: Of the tensor; the random sketch depends on it.
        dtype: Format code of the type in which factors are stored.
        device: ``cpu``, or a GPU by torch's name.

    Raises:
        MergeError: That type is too narrow for them.
    """
    library = Library(device)
    with one_blas_thread():
        held = library.taken(matrix)
        total = library.energy(held)
        if total == 0:
            return None
        left, values, right = _decomposed(held, truncation, total, name, library)
        most = _most(values, truncation, matrix.shape)
        rank = _enough(values, truncation, total, most)
        factors = _stored(held, left, values, right, rank, total, dtype, library)
        while truncation.energy is not None and factors.energy < truncation.energy and rank < most:
            rank += 1  # what rounding the factors took is given back
            factors = _stored(held, left, values, right, rank, total, dtype, library)
    if not math.isfinite(factors.error):
        raise MergeError(
            f"the factors of '{name}' are beyond the largest {dtype} number", hint="choose a wider --dtype"
        )
    return factors


def _decomposed(
    matrix: Array, truncation: Truncation, total: float, name: str, library: Library
) -> tuple[Array, NDArray[Any], Array]:
    """Return left directions, strengths and right directions, of all or of the strongest."""
    side = min(matrix.shape)
    known = truncation.most(matrix.shape) + OVERSAMPLING
    if not truncation.exact and side > EXACT_SIDE and (truncation.energy is not None or known <= side // 2):
        found = sketch(matrix, truncation, total, name, library)
        if found is not None:
            basis, inner = found
            left, values, right = library.singular(inner)
            return basis @ left, library.given(values), right
    left, values, right = library.singular(matrix)
    return left, library.given(values), right


def _most(values: NDArray[Any], truncation: Truncation, shape: tuple[int, ...]) -> int:
    """Return the most directions that may be kept; for a share of the energy, none that are rounding."""
    import numpy as np

    if truncation.rank is not None:
        return min(truncation.rank, len(values))
    strong = values > 4 * math.sqrt(max(shape)) * np.finfo(np.float32).eps * values[0]
    return max(1, min(truncation.max_rank or len(values), int(strong.sum())))


def _enough(values: NDArray[Any], truncation: Truncation, total: float, most: int) -> int:
    """Return how many directions are kept."""
    import numpy as np

    if truncation.energy is None:
        return most
    kept = np.cumsum(values.astype(np.float64) ** 2)
    return min(most, int(np.searchsorted(kept, truncation.energy * total)) + 1)


def _stored(
    matrix: Array,
    left: Array,
    values: NDArray[Any],
    right: Array,
    rank: int,
    total: float,
    dtype: str,
    library: Library,
) -> Factors:
    """Return factors in the type in which they are stored, with what their product lacks."""
    import numpy as np

    roots = np.sqrt(values[:rank])
    b = rounded(np.ascontiguousarray(library.given(left[:, :rank]) * roots), dtype)
    a = rounded(np.ascontiguousarray(library.given(right[:rank]) * roots[:, None]), dtype)
    error = library.distance(matrix, b.astype(np.float32), a.astype(np.float32))
    return Factors(a, b, math.sqrt(total), math.sqrt(error))
