"""Where a fused tensor is cut into parts that are used apart: ``qkv.reshape(n, tokens, 3, heads, size).unbind(2)``.

The axis of 3 holds queries, keys and values, whose units within a head need not move together. So the fused axis is
cut into three pieces instead of a product with 3, and what follows is done with each piece by itself. That is possible
if all that ever happens to the axis of 3 is that it moves to another place and one of its places is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from .factors import cut, resolve
from .nodes import bound, operation, shape_of, where
from .shapes import reshaped
from .values import Stack, Value, replaced

if TYPE_CHECKING:
    from torch.fx import Node

CUTS = ("view", "reshape", "unflatten")
KEEPS = ("contiguous", "clone", "to", "alias", "detach")
MOVES = ("permute", "transpose", "unsqueeze", "squeeze", *KEEPS)


def moved(node: Node, along: int) -> int | None:
    """Return where an axis is after an operation that only moves axes; None if it does something else with it."""
    name, arguments = operation(node), _arguments(node)
    rank = len(shape_of(node.args[0]))
    if name in KEEPS:
        return along
    if name == "permute":
        return [place % rank for place in arguments[1]].index(along)
    if name == "transpose":
        first, second = (int(place) % rank for place in arguments[1:3])
        return {first: second, second: first}.get(along, along)
    if name == "unsqueeze":
        return along + (int(arguments[1]) % (rank + 1) <= along)
    if name == "squeeze" and len(arguments) == 2 and isinstance(arguments[1], int):
        gone = arguments[1] % rank
        return None if gone == along else along - (gone < along and shape_of(node.args[0])[gone] == 1)
    return None


def _arguments(node: Node) -> Any:
    return node.args


def is_taken_apart(node: Node, along: int) -> bool:
    """Tell whether all uses of an axis take one of its places."""
    rank = len(shape_of(node))
    for user in node.users:
        name = operation(user)
        if name in ("select", "unbind"):
            dim: Any = bound(user)["dim"]
            if dim % rank != along:
                return False
        else:
            place = moved(user, along) if name in MOVES and user.args[0] is node else None
            if place is None or not is_taken_apart(user, place):
                return False
    return bool(node.users)


def fused_axis(node: Node, before: Sequence[int]) -> tuple[int, int] | None:
    """Find an axis that a node cuts out of a longer one and that is taken apart later.

    Args:
        node: An operation.
        before: Shape of what it is applied to.

    Returns:
        The axis before, and the one after; None if the node does no such thing.
    """
    if operation(node) not in CUTS:
        return None
    after = shape_of(node)
    for place, size in enumerate(before):
        if place < len(after) and list(before[:place]) == list(after[:place]) and after[place] != size:
            is_cut = 1 < after[place] < size and size % after[place] == 0
            rest = prod(after[place + 1 :]) == size // after[place] * prod(before[place + 1 :])
            return (place, place) if is_cut and rest and is_taken_apart(node, place) else None
    return None


def stacked(value: Value, node: Node) -> Stack | None:
    """Return what a node makes of a tensor, in parts, where it cuts a fused axis; else None."""
    places = fused_axis(node, value.shape)
    if places is None:
        return None
    place, along = places
    shape = list(shape_of(node))
    axis = resolve(value.axes[place])
    if len(axis) != 1:  # it was cut otherwise before
        return None
    count = shape[along]
    pieces = cut(axis, [value.shape[place] // count] * count)
    if pieces is None:
        return None
    shape[along] = 1
    parts = (Value(replaced(value.axes, place, piece), value.is_weight) for piece in pieces)
    return Stack(tuple(Value(reshaped(part.axes, shape, where(node)), part.is_weight) for part in parts), along)
