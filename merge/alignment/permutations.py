"""Permutations of groups, and what they do to the axes of tensors.

Convention: a permutation gathers. ``order[i] = j`` puts unit j of the model that is moved at position i. The orders of
a nested group have one row for each unit of its parent, by the parent's position in the model as it is (before the
parent moves): within head h of the model that is moved, unit ``order[h, i]`` goes to place i; the head then goes where
its own order says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .groups import Group, Groups, Member

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Orders = Mapping[str, NDArray[np.int64]]


def identity(group: Group, groups: Groups) -> NDArray[np.int64]:
    """Return the order [size], or of a nested group [parent's size, size], that changes nothing."""
    import numpy as np

    order = np.arange(group.size)
    return order if group.parent is None else np.tile(order, (groups.groups[group.parent].size, 1))


def is_valid(order: NDArray[np.int64], group: Group, groups: Groups) -> bool:
    """Tell whether an array is an order of this group: every unit once, in every row."""
    import numpy as np

    wanted = identity(group, groups)
    return order.shape == wanted.shape and bool((np.sort(order, axis=-1) == wanted).all())


def axis_indices(groups: Groups, orders: Orders, shapes: Mapping[str, tuple[int, ...]]) -> AxisIndices:
    """Return, for every tensor that moves, which index comes to each place of each axis.

    Args:
        groups: The groups.
        orders: An order for some of them; the others stay.
        shapes: Of all tensors of the checkpoint.

    Returns:
        By tensor and axis, int64 [length of the axis]; axes and tensors that stay are left out.
    """
    import numpy as np

    found: dict[str, dict[int, NDArray[np.int64]]] = {}
    for group in groups.groups.values():
        if group.name not in orders or group.parent is not None:
            continue
        for member in group.members:
            length = shapes[member.tensor][member.axis]
            index = found.setdefault(member.tensor, {}).setdefault(member.axis, np.arange(length))
            _move(index, member, orders[group.name])
    for group in groups.groups.values():
        if group.name in orders and group.parent is not None:
            for member in group.members:
                length = shapes[member.tensor][member.axis]
                index = found.setdefault(member.tensor, {}).setdefault(member.axis, np.arange(length))
                _move_within(index, member, orders[group.name], _parent_member(group, member, groups), orders)
    return found


def _view(index: NDArray[np.int64], member: Member) -> NDArray[np.int64]:
    piece = index[member.offset : member.offset + member.length]
    return piece.reshape(member.sizes)


def _move(index: NDArray[np.int64], member: Member, order: NDArray[np.int64]) -> None:
    """Gather one sub-axis of what an index holds, in place."""
    import numpy as np

    view = _view(index, member)
    view[...] = np.take(view, order, axis=member.factor)


def _parent_member(group: Group, member: Member, groups: Groups) -> tuple[str, int]:
    """Return the name of a nested group's parent, and which of the member's sizes carries its units."""
    parent = groups.groups[group.parent or ""]
    for other in parent.members:
        if (other.tensor, other.axis, other.offset) == (member.tensor, member.axis, member.offset):
            stride = _stride(other)
            for factor in range(len(member.sizes)):
                inner = _stride_of(member.sizes, factor)
                if inner == stride and member.sizes[factor] == other.size:
                    return parent.name, factor
    raise ValueError(f"'{group.name}' is nested in '{parent.name}', which does not carry {member}")


def _stride(member: Member) -> int:
    return _stride_of(member.sizes, member.factor)


def _stride_of(sizes: tuple[int, ...], factor: int) -> int:
    import math

    return math.prod(sizes[factor + 1 :])


def _move_within(
    index: NDArray[np.int64], member: Member, order: NDArray[np.int64], parent: tuple[str, int], orders: Orders
) -> None:
    """Gather one sub-axis, in another order for each unit of the parent, which has moved already."""
    import numpy as np

    name, factor = parent
    view = _view(index, member)
    moved = orders[name] if name in orders else np.arange(member.sizes[factor])
    rows = np.moveaxis(view, (factor, member.factor), (0, 1))
    for place, head in enumerate(moved):
        rows[place] = rows[place][order[head]]


# Which index comes to each place, by tensor and axis.
AxisIndices = Mapping[str, Mapping[int, "NDArray[np.int64]"]]
