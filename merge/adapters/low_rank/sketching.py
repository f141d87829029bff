"""An orthonormal basis of the strongest directions that a large matrix reaches, found by random combinations.

Halko, Martinsson and Tropp 2011, "Finding structure with randomness", algorithm 4.4 (power iterations with an
orthonormal basis after every product). Where a share of the energy is asked for, the basis grows block by block until
it holds that share, which is known exactly on the way: Yu, Gu and Li 2018, "Efficient randomized algorithms for the
fixed-precision low-rank matrix approximation", algorithm 2 (randQB_EI).
"""

from __future__ import annotations

from ...reduction import Array
from .libraries import Library
from .truncation import Truncation

OVERSAMPLING = 16  # columns beyond the wanted rank
POWER_ITERATIONS = 4
FIRST_BLOCK = 64  # columns with which a growing basis begins; every next block doubles it


def sketch(
    matrix: Array, truncation: Truncation, total: float, name: str, library: Library
) -> tuple[Array, Array] | None:
    """Return a basis [rows, k] and the matrix within it [k, columns], or None where that would save nothing.

    Args:
        matrix: A large matrix.
        truncation: What is to be kept of it.
        total: Its sum of squares.
        name: Of the tensor.
        library: The linear algebra.
    """
    most, side = truncation.most(matrix.shape) + OVERSAMPLING, min(matrix.shape)
    width = most if truncation.energy is None else min(most, FIRST_BLOCK)
    basis = inner = None
    kept, number = 0.0, 0
    while True:
        columns = _next_columns(matrix, basis, width, name, number, library)
        part = columns.T @ matrix
        basis = columns if basis is None else library.xp.concat([basis, columns], axis=1)
        inner = part if inner is None else library.xp.concat([inner, part], axis=0)
        kept += library.energy(part)
        held, number = basis.shape[1], number + 1
        if held >= most or (truncation.energy is not None and kept >= truncation.energy * total):
            return basis, inner
        if 2 * held > side // 2:
            return None
        width = min(held, most - held)


def _next_columns(matrix: Array, basis: Array | None, width: int, name: str, number: int, library: Library) -> Array:
    """Return further orthonormal columns, of the strongest directions that a basis lacks."""

    def beyond(columns: Array) -> Array:
        return columns if basis is None else columns - basis @ (basis.T @ columns)

    columns = library.basis(beyond(matrix @ library.normal(matrix.shape[1], width, name, number)))
    for _ in range(POWER_ITERATIONS):
        back = library.basis(matrix.T @ columns)
        columns = library.basis(beyond(matrix @ back))
    return library.basis(beyond(columns))  # once more: rounding lets products lean toward the known directions
