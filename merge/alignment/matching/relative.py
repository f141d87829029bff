"""Orders that bring two models into one common order ▸ orders that bring the one into the other's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..groups import Groups
from ..permutations import identity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Orders = Mapping[str, NDArray[np.int64]]


def relative(orders: Orders, base: Orders, groups: Groups) -> dict[str, NDArray[np.int64]]:
    """Undo the orders of one model in those of another.

    Args:
        orders: How a model is brought into a common order.
        base: How the model that shall stay as it is would be brought into it; orders of the same groups.
        groups: What they belong to.

    Returns:
        Orders that bring the first model to where the second is as it is.
    """
    import numpy as np

    found = {}
    for name, order in orders.items():
        parent = groups.groups[name].parent
        if parent is None:
            found[name] = order[np.argsort(base[name])]
            continue
        outer = identity(groups.groups[parent], groups)
        ours, theirs = orders.get(parent, outer), base.get(parent, outer)
        found[name] = order.copy()
        for head, other in zip(ours, theirs, strict=True):  # the heads of the two models that share a place
            found[name][head] = order[head][np.argsort(base[name][other])]
    return found
