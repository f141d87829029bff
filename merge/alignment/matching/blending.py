"""Tensors under doubly stochastic matrices: units in mixtures of several orders, as between two permutations.

A matrix [places, units] has the share of every unit at every place. It is the sum of the few permutations that an
algorithm has been at, so it is sparse, and products with it cost no more than that many gathers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..groups import Groups, Member

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    Numbers = NDArray[np.floating[Any]]
    Matrices = Mapping[str, csr_array]


def matrix_of(order: NDArray[np.int64]) -> csr_array:
    """Return the permutation matrix of an order: one at [i, order[i]]."""
    import numpy as np
    from scipy.sparse import csr_array

    places = np.arange(len(order))
    return csr_array((np.ones(len(order)), (places, order)), shape=(len(order),) * 2)


def blended(array: Numbers, here: Groups, matrices: Matrices) -> Numbers:
    """Return a tensor with its units mixed.

    Args:
        array: The tensor.
        here: Groups with members on this tensor alone.
        matrices: Of groups that are nested in none, and in which none is nested; the others stay.
    """
    for name, group in here.groups.items():
        for member in group.members if name in matrices else ():
            array = _along(array, member, matrices[name])
    return array


def count_of(here: Groups, names: Sequence[str]) -> int:
    """Return how many sub-axes some groups have there: the degree of the tensor in their matrices."""
    return sum(len(group.members) for name, group in here.groups.items() if name in names)


def _along(array: Numbers, member: Member, matrix: csr_array) -> Numbers:
    import numpy as np

    axis = member.axis + member.factor
    piece = (slice(None),) * member.axis + (slice(member.offset, member.offset + member.length),)
    view = array[piece].reshape(array.shape[: member.axis] + member.sizes + array.shape[member.axis + 1 :])
    rows = np.moveaxis(view, axis, 0)
    mixed = np.moveaxis((matrix @ rows.reshape(len(rows), -1)).reshape(rows.shape), 0, axis)
    found: Numbers = array.astype(mixed.dtype)
    found[piece] = mixed.reshape(found[piece].shape)
    return found
