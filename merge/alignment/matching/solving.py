"""Find the best orders of one family, with those of all others fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..groups import Groups
from .assignment import assign, is_gain, value
from .families import Family, Term
from .moving import by_units, moved, on_tensor
from .pair import Pair
from .products import add_products
from .spectra import match_by_spectra
from .two_levels import match_blocks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .two_levels import Blocks

    Order = NDArray[np.int64]
    Orders = Mapping[str, Order]

MOST_HEADS = 64  # up to which every head is tried with every other


class Solution(NamedTuple):
    """Orders of a family, and what they gain.

    Attributes:
        orders: Of the family's groups.
        before: The sum of similarities with the orders that the family had.
        after: The sum with these.
        is_old: Whether it was known already.
    """

    orders: dict[str, Order]
    before: float
    after: float
    is_old: bool = False

    @property
    def is_gain(self) -> bool:
        """Whether the sum has risen."""
        return is_gain(self.after, self.before)


def solve(pair: Pair, family: Family, orders: Orders, groups: Groups, terms: Sequence[Term]) -> Solution:
    """Solve one family: a linear assignment problem; of nested groups one for each pair of outer units, and one of all.

    Args:
        pair: The models.
        family: What is solved.
        orders: Present orders of all families; only others than this one's say where its similarities lie.
        groups: All groups.
        terms: Which of its terms count.

    Raises:
        MergeError: A tensor cannot be read, or has numbers that are not finite.
    """
    counting = [term for term in terms if term.tensor not in pair.tied]
    if not family.nested:
        found = _flat(pair, family, orders, counting)
    elif family.group.size > MOST_HEADS and family.moves:
        found = Solution(*match_by_spectra(pair, family, orders, counting))
    else:
        found = Solution(*match_blocks(similarities(pair, family, orders, counting), family, orders))
    is_whole = len(terms) == len(family.terms)
    return _checked(pair, family, orders, groups, found) if is_whole and family.is_quadratic else found


def similarities(pair: Pair, family: Family, orders: Orders, terms: Sequence[Term]) -> Blocks:
    """Return inner products of all units, nested ones included.

    Returns:
        By the names of the nested groups that a tensor carries besides the family's own: [units, nested units …, units,
        nested units …], the reference's first.
    """
    import numpy as np

    found: dict[tuple[str, ...], NDArray[np.float64]] = {}
    for term in terms:
        one, other = pair.views(term, orders)
        sizes = one.shape[:-1]
        total = found.setdefault(tuple(term.inner), np.zeros((*sizes, *sizes)))
        count = int(np.prod(sizes))
        add_products(total.reshape(count, count), one.reshape(count, -1), other.reshape(count, -1))
    return found


def _flat(pair: Pair, family: Family, orders: Orders, terms: Sequence[Term]) -> Solution:
    import numpy as np

    size, current = family.group.size, orders[family.name]
    similarity = similarities(pair, family, orders, terms).get((), np.zeros((size, size)))
    found = assign(similarity, current)
    return Solution({family.name: found}, value(similarity, current), value(similarity, found))


def _checked(pair: Pair, family: Family, orders: Orders, groups: Groups, found: Solution) -> Solution:
    """Return a solution with its true sums, where similarities were those with the family's present order."""
    before = true_sum(pair, family, orders, groups)
    return Solution(found.orders, before, true_sum(pair, family, {**orders, **found.orders}, groups))


def true_sum(pair: Pair, family: Family, orders: Orders, groups: Groups) -> float:
    """Return the sum of inner products of the tensors that a family moves, each counted once."""
    import numpy as np

    total = 0.0
    for name in sorted({term.tensor for term in family.terms} - pair.tied):
        one = pair.reference.read(name)
        other = moved(pair.moved.read(name), name, on_tensor(groups, name), orders)
        total += float(np.vdot(one.astype(np.float64), other.astype(np.float64)))
    return total


def anchor(pair: Pair, family: Family) -> dict[str, Order]:
    """Return orders by what no permutation of other axes changes: each unit's numbers, sorted.

    The inner product of two sorted rows is the largest that any order of their entries gives. Nested groups are left.
    """
    import numpy as np

    size = family.group.size
    total = np.zeros((size, size))
    for term in family.terms if family.moves else ():
        views = (by_units(reader.read(term.tensor), term.member) for reader in (pair.reference, pair.moved))
        one, other = (np.sort(view, axis=1) for view in views)
        add_products(total, one, other)
    return {family.name: assign(total, np.arange(size))} if family.moves else {}
