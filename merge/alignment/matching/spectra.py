"""Many heads: which one belongs to which is told by singular values, since trying all pairs would take too long."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .assignment import assign, is_gain
from .families import Family, Term
from .pair import Pair
from .products import add_products
from .two_levels import head_order, joined, match_within, rows_of, value_within

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.floating[Any]]
    Doubles = NDArray[np.float64]
    Order = NDArray[np.int64]
    Orders = Mapping[str, Order]


def match_by_spectra(
    pair: Pair, family: Family, orders: Orders, terms: Sequence[Term]
) -> tuple[dict[str, Order], float, float]:
    """Match heads by their singular values, then the units within the heads that were matched.

    Singular values stay the same when a head's units are reordered, and the sum of the products of two matrices'
    values is the largest inner product that any turning of the units can reach (von Neumann's trace inequality).

    Returns:
        As `match_blocks`: the better of the heads' present order and the one that singular values suggest.

    Raises:
        MergeError: Numbers are not finite.
    """
    import numpy as np

    present = head_order(family, orders)
    limits = np.zeros((len(present), len(present)))
    for term in terms:
        one, other = pair.views(term, orders)
        add_products(limits, _spectra(one), _spectra(other))
    suggested = assign(limits, present)
    chosen, after, before = _matched(pair, family, orders, terms, present)
    if suggested is not present:
        found, value, _ = _matched(pair, family, orders, terms, suggested)
        chosen, after = (found, value) if is_gain(value, after) else (chosen, after)
    return chosen, before, after


def _spectra(view: Numbers) -> Numbers:
    """Return the singular values of each head's matrix [nested units, rest]; without nested units, its entries."""
    import numpy as np

    if view.ndim == 2:
        return view
    matrices = view.reshape(len(view), -1, view.shape[-1]).astype(np.float64)
    return np.linalg.svd(matrices, compute_uv=False)


def _matched(
    pair: Pair, family: Family, orders: Orders, terms: Sequence[Term], heads: Order
) -> tuple[dict[str, Order], float, float]:
    """Match the units within heads that are matched; return orders, their sum, and the sum with the present orders."""
    after = before = 0.0
    within = []
    for head, similarity in zip(heads, _similarities(pair, orders, terms, heads), strict=True):
        rows = rows_of(family, orders, int(head))
        found, value = match_within(similarity, rows)
        within.append(found)
        after, before = after + value, before + value_within(similarity, rows)
    return joined(family, orders, heads, within), after, before


def _similarities(
    pair: Pair, orders: Orders, terms: Sequence[Term], heads: Order
) -> list[dict[tuple[str, ...], Doubles]]:
    """Return the similarities of the units of each head and of the one that comes to its place."""
    import numpy as np

    found: list[dict[tuple[str, ...], Any]] = [defaultdict(float) for _ in heads]
    for term in terms:
        one, other = pair.views(term, orders)
        sizes = one.shape[1:-1]
        count = int(np.prod(sizes))
        for place, head in enumerate(heads):
            total = np.zeros((count, count))
            add_products(total, one[place].reshape(count, -1), other[head].reshape(count, -1))
            found[place][tuple(term.inner)] += total.reshape(sizes * 2)
    return [dict(blocks) for blocks in found]
