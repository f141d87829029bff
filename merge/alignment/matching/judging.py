"""How well matched units fit, group by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..groups import Groups
from .families import Family, Term
from .matched import GroupReport
from .moving import by_units, moved, on_tensor, stays
from .pair import Pair

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..permutations import Orders

    Doubles = NDArray[np.float64]
    Numbers = NDArray[np.floating[Any]]


def judge(
    pair: Pair, found: Sequence[Family], groups: Groups, orders: Orders, seconds: Mapping[str, float]
) -> dict[str, GroupReport]:
    """Report on every group that may move: its cosines are those of all weights of matched units."""
    reports = {}
    for family in found:
        cosines = _cosines(pair, family, groups, orders)
        for name in family.starts(groups):
            reports[name] = report_of(groups, orders, name, cosines.get(name), seconds.get(family.name, 0.0))
    return reports


def report_of(groups: Groups, orders: Orders, name: str, cosine: float | None, seconds: float) -> GroupReport:
    """Return the report of one group."""
    return GroupReport(groups.groups[name].size, float(stays(orders, name).mean()), cosine, round(seconds, 3))


def mean_cosine(products: Doubles, squares: Doubles, other_squares: Doubles) -> float | None:
    """Return the mean of p / sqrt(s t) over the units that have any numbers at all; None where none has."""
    import numpy as np

    norms = np.sqrt(squares * other_squares)
    alive = norms > 0
    return float((products[alive] / norms[alive]).mean()) if alive.any() else None


def _cosines(pair: Pair, family: Family, groups: Groups, orders: Orders) -> dict[str, float | None]:
    sums: dict[str, Any] = {}
    for term in family.terms:
        if term.tensor not in pair.tied:
            _add(sums, pair, family, term, groups, orders)
    return {name: mean_cosine(*found) for name, found in sums.items()}


def _add(sums: dict[str, Any], pair: Pair, family: Family, term: Term, groups: Groups, orders: Orders) -> None:
    """Add products and squares of one term to the sums of the family's group and of those nested in it."""
    import numpy as np

    nested = list(term.inner.values())
    here = on_tensor(groups, term.tensor)
    other = by_units(moved(pair.moved.read(term.tensor), term.tensor, here, orders), term.member, nested)
    found = _rows(by_units(pair.reference.read(term.tensor), term.member, nested), other)
    inner_axes = range(2, found.ndim)
    names = {family.name: ()} | {name: (position,) for position, name in enumerate(term.inner)}
    for name, position in names.items():
        kept = {2 + place for place in position}
        total = found.sum(axis=tuple(axis for axis in inner_axes if axis not in kept))
        sums[name] = sums[name] + total if name in sums else np.array(total)


def _rows(one: Numbers, other: Numbers) -> Doubles:
    """Return the sums of A B, A A and B B over the last axis: [3, units, nested units …]."""
    import numpy as np

    pairs = ((one, other), (one, one), (other, other))
    return np.stack([np.einsum("...k,...k->...", a, b, dtype=np.float64) for a, b in pairs])
