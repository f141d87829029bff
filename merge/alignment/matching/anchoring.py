"""Where to start: first the groups that tensors tie to what is known, as inputs and outputs are, then their neighbours.

From the order as it is, coordinate descent gets stuck where groups depend on one another: of a residual stream and a
block of a network whose units were merely shuffled, it finds the true order for half of the seeds only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from .families import Family, Term
from .solver import Solver
from .solving import Solution, anchor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Orders = Mapping[str, NDArray[np.int64]]


def anchored(
    solver: Solver, orders: Orders, masses: Mapping[str, float]
) -> Iterator[tuple[Family, dict[str, NDArray[np.int64]]]]:
    """Solve each family once, by the tensors whose other axes do not move or belong to families that are solved.

    The next one is always that of which such tensors say most: with the largest sum of |A| |B| over them. Where they
    say nothing, the family with the largest tensors is solved by numbers that no permutation changes.

    Args:
        solver: Solves the families.
        orders: Orders that change nothing.
        masses: |A| |B| of tensors by name.

    Yields:
        A family, and its orders.
    """
    now, open_ones, solved = dict(orders), list(solver.families), set[str]()
    while open_ones:
        family = max(open_ones, key=lambda family: _mass(_known(family, solved), masses))
        terms = _known(family, solved)
        if _mass(terms, masses) > 0:
            better = _orders(solver.solve(family, now, terms))
        else:
            family = max(open_ones, key=lambda family: _mass(list(family.terms), masses))
            better = anchor(solver.pair, family)
        open_ones.remove(family)
        solved.add(family.name)
        now |= better
        yield family, better


def _orders(solution: Solution) -> dict[str, NDArray[np.int64]]:
    return solution.orders if solution.is_gain else {}


def _known(family: Family, solved: set[str]) -> list[Term]:
    return [term for term in family.terms if term.needs <= solved]


def _mass(terms: list[Term], masses: Mapping[str, float]) -> float:
    return sum(masses.get(term.tensor, 0.0) for term in terms)
