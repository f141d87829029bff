"""Tensors under orders: gathered along their axes, and viewed by the units of a group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from ..groups import Group, Groups, Member
from ..permutations import axis_indices

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..permutations import Orders

    _Number = TypeVar("_Number", bound=np.generic)
    Numbers = NDArray[np.floating[Any]]


def on_tensor(groups: Groups, tensor: str) -> Groups:
    """Return the groups with none but their members on one tensor; groups without any are left out."""
    found = {
        name: Group(name, group.size, members, group.kind, group.parent)
        for name, group in groups.groups.items()
        if (members := tuple(member for member in group.members if member.tensor == tensor))
    }
    return Groups(found)


def moved(array: Numbers, tensor: str, here: Groups, orders: Orders) -> Numbers:
    """Return a tensor as orders move it.

    Args:
        array: The tensor.
        tensor: Its name.
        here: The groups with members on no other tensor.
        orders: Orders of some groups.
    """
    import numpy as np

    for axis, index in axis_indices(here, orders, {tensor: array.shape}).get(tensor, {}).items():
        if not np.array_equal(index, np.arange(len(index))):
            array = np.take(array, index, axis=axis)
    return array


def by_units(array: NDArray[_Number], member: Member, nested: Sequence[Member] = ()) -> NDArray[_Number]:
    """View a tensor by a group's units.

    Args:
        array: The tensor.
        member: Where it carries the group.
        nested: Where the same piece carries groups that are nested in it.

    Returns:
        [units, units of each nested group …, all the rest]: a copy where the memory's order demands it.

    Raises:
        ValueError: The members cut the axis at places that do not fit together.
    """
    import numpy as np

    sizes = common_sizes([member.sizes, *(other.sizes for other in nested)])
    front = [member.axis + _position(sizes, other) for other in (member, *nested)]
    piece = array[(slice(None),) * member.axis + (slice(member.offset, member.offset + member.length),)]
    view = piece.reshape(array.shape[: member.axis] + sizes + array.shape[member.axis + 1 :])
    view = np.moveaxis(view, front, range(len(front)))
    return view.reshape(*view.shape[: len(front)], -1)


def common_sizes(cuts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Return the coarsest sizes that several views of one axis are all made of: [12, 64] and [4, 192] give [4, 3, 64].

    Raises:
        ValueError: There are none.
    """
    if len(set(cuts)) == 1:
        return cuts[0]
    strides = sorted({math.prod(sizes[first:]) for sizes in cuts for first in range(len(sizes) + 1)}, reverse=True)
    if any(large % small for large, small in pairwise(strides)):
        raise ValueError(f"views {' and '.join(map(str, cuts))} of one axis do not fit together")
    return tuple(large // small for large, small in pairwise(strides))


def _position(sizes: tuple[int, ...], member: Member) -> int:
    """Return which of the common sizes is a member's factor."""
    stride = math.prod(member.sizes[member.factor + 1 :])
    if sizes == member.sizes:
        return member.factor
    for position, size in enumerate(sizes):
        if size == member.size and math.prod(sizes[position + 1 :]) == stride:
            return position
    raise ValueError(f"{member} is cut by another group on the same axis")


def stays(orders: Mapping[str, NDArray[np.int64]], name: str) -> NDArray[np.bool_]:
    """Return which entries of a group's order are in their own place."""
    import numpy as np

    order = orders[name]
    return np.asarray(order == np.arange(order.shape[-1]))
