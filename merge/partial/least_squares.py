"""Merged weights by least squares: each layer of the wide network gives out what the members' layers would.

With z = [z_A, z_B] the inputs that one layer has in both members over the same data, G = E[z z^T], x = S z the wide
layer's inputs (merged units average, own units copy) and U W z what it should give out, the rows that may read the
columns J are those that minimise E |W_J x_J - U W z|^2 plus a ridge towards the plain weights P:

    W_J = (U W G S_J^T + r P_J) (S_J G S_J^T + r I)^-1

Merged rows read everything; a member's own rows read merged units and the member's own (PLeaS, arXiv 2407.02447,
section 3.2, where it is done by gradient descent).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..arithmetic.least_squares import solve_towards
from .splits import Entries

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.floating[Any]]
    Doubles = NDArray[np.float64]
    Mask = NDArray[np.bool_]


class Problem(NamedTuple):
    """The least squares of one matrix.

    Attributes:
        first: The first member's matrix [outputs, inputs].
        second: The second's.
        rows: What the wide matrix's rows stand for.
        columns: What its columns stand for.
        gram: G [inputs of both, the same], in float64, the first's in front.
        ridge: r as a share of the mean diagonal of S_J G S_J^T.
    """

    first: Numbers
    second: Numbers
    rows: Entries
    columns: Entries
    gram: Doubles
    ridge: float


def solve_rows(problem: Problem, plain: Numbers) -> Doubles:
    """Return the wide matrix [rows, columns].

    Args:
        problem: What is to be solved.
        plain: The plain wide matrix, which stays where rows read no merged unit, since it is exact there.

    Raises:
        ValueError: The Gram matrix is none.
    """
    import numpy as np

    found = plain.astype(np.float64)
    read = _columns(problem.gram, problem.columns, len(problem.first[0]))  # G S^T
    inner = _columns(read.T, problem.columns, len(problem.first[0]))  # S G S^T
    wanted = _targets(problem, read)
    everywhere = np.ones(len(problem.columns.first), dtype=bool)
    one, other = (problem.columns.has(model) for model in (0, 1))
    rows = problem.rows
    for own, columns in ((rows.merged, everywhere), (rows.has(0) & ~rows.merged, one), (~rows.has(0), other)):
        if own.any() and (columns & problem.columns.merged).any():
            place = np.ix_(own, columns)
            right = np.ascontiguousarray(wanted[place].T)
            total = inner[np.ix_(columns, columns)]
            found[place] = solve_towards(total, right, found[place], np, problem.ridge).matrix
    return found


def _columns(matrix: Doubles, entries: Entries, firsts: int) -> Doubles:
    """Multiply by S^T: merged columns average those of both members, own ones copy.

    Args:
        matrix: [..., inputs of both].
        entries: What the wide columns stand for.
        firsts: Number of the first member's inputs.
    """
    return _mean(matrix[:, entries.first], matrix[:, firsts + entries.second], entries)


def _targets(problem: Problem, read: Doubles) -> Doubles:
    """Return U W G S^T [rows, columns]."""
    import numpy as np

    firsts = len(problem.first[0])
    one = problem.first.astype(np.float64) @ read[:firsts]
    other = problem.second.astype(np.float64) @ read[firsts:]
    return _mean(one[problem.rows.first].T, other[problem.rows.second].T, problem.rows).T


def _mean(one: Doubles, other: Doubles, entries: Entries) -> Doubles:
    """Return the mean of two arrays along the last axis over those models that its entries stand for."""
    here, there = entries.has(0), entries.has(1)
    found: Doubles = (one * here + other * there) / (here.astype(float) + there)
    return found
