"""Do two models lie in the same basin already? Then their units correspond as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .matched import Progress, Step
from .moving import stays
from .solver import Solver

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Orders = Mapping[str, NDArray[np.int64]]

SAME_BASIN = 0.95
ADVICE = (
    "the models share an ancestor: {share:.1%} of the units are in their best place, so that alignment changes next to "
    "nothing; average them as they are, with merge soup"
)


@dataclass(frozen=True)
class Basin:
    """How far two models' units correspond as they are.

    Attributes:
        share: Of the units that were looked at, those for which no other place is better while all other groups stay.
        is_same: Whether that is more than `SAME_BASIN` of all units.
    """

    share: float
    is_same: bool


def look_at_basin(solver: Solver, orders: Orders, progress: Progress | None = None) -> Basin:
    """Solve each family once from the order as it is, the largest first, until the answer is known.

    Args:
        solver: Solves the families.
        orders: Orders that change nothing.
        progress: Told of every family.
    """
    found = solver.families
    units = sum(family.units for family in found)
    fixed = seen = 0
    changed = 0
    for done, family in enumerate(sorted(found, key=lambda family: -family.units), 1):
        solution = solver.solve(family, orders)
        if solution.is_gain:
            fixed += sum(int(stays(solution.orders, name).sum()) for name in solution.orders)
            changed += 1
        else:
            fixed += family.units
        seen += family.units
        if progress:
            progress(Step("comparing", 1, 0, family.name, done, len(found), changed, 0.0))
        if seen - fixed > (1 - SAME_BASIN) * units:
            break
    return Basin(fixed / max(1, seen), units > 0 and seen == units and fixed > SAME_BASIN * units)
