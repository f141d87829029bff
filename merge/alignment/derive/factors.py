"""Axes of tensors as products of factors, which become one when units must move together.

An axis of length 768 may carry 12 heads of 64 units each: a product of two factors. It may also lay several axes side
by side, as a concatenation does. Nobody knows that when the axis is first seen, so a factor is cut only when an
operation demands it; all axes that it occurs on are then cut with it, since they share it (union-find).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from math import gcd

Axis = Sequence["Factor"]  # a product, the outermost factor first; an axis of length 1 is empty

MISFIT = "is cut in ways that do not fit each other"


class Factor:
    """A part of an axis.

    Attributes:
        size: Number of units.
        same: The factor that this one became one with.
        pieces: Of a factor that was cut: one product, or several that lie side by side.
        reason: Why its units stay in their order; None while they may be reordered. Only of factors that are not cut.
    """

    __slots__ = ("pieces", "reason", "same", "size")

    def __init__(self, size: int, reason: str | None = None, pieces: tuple[Axis, ...] = ()) -> None:
        self.size, self.reason, self.pieces = size, reason, pieces
        self.same: Factor | None = None

    def root(self) -> Factor:
        """Return the factor that stands for all that became one."""
        found = self
        while found.same is not None:
            found = found.same
        if self.same is not None and self.same is not found:
            self.same = found  # a shorter way for the next time
        return found


def fresh(size: int, reason: str | None = None) -> list[Factor]:
    """Return a new axis of this length."""
    return [] if size == 1 else [Factor(size, reason)]


def length(axis: Axis) -> int:
    """Return the length of an axis."""
    return math.prod(factor.size for factor in axis)


def resolve(axis: Axis) -> list[Factor]:
    """Return an axis as a product of factors that are whole, or that lay pieces side by side."""
    found: list[Factor] = []
    for factor in axis:
        root = factor.root()
        found += resolve(root.pieces[0]) if len(root.pieces) == 1 else [root]
    return found


def side_by_side(axis: Axis) -> list[list[Factor]]:
    """Return the products that lie side by side on an axis; one, if it is no concatenation."""
    parts = resolve(axis)
    if not parts or not parts[0].pieces:
        return [parts]
    return [[*first, *parts[1:]] for piece in parts[0].pieces for first in side_by_side(piece)]


def leaves(axis: Axis) -> list[Factor]:
    """Return all factors on an axis that are not cut."""
    found = []
    for factor in resolve(axis):
        found += [leaf for piece in factor.pieces for leaf in leaves(piece)] if factor.pieces else [factor]
    return found


def is_pinned(axis: Axis) -> bool:
    """Tell whether no unit of an axis may move."""
    return all(leaf.reason is not None for leaf in leaves(axis))


def pin(axis: Axis, reason: str) -> None:
    """Keep the units of an axis in their order; a reason that was given earlier stays."""
    for leaf in leaves(axis):
        leaf.reason = leaf.reason or reason


def pin_together(axes: Sequence[Axis], reason: str) -> None:
    """Pin several axes; for all of them holds what was the reason for one, if it was pinned before."""
    earlier = [leaf.reason for axis in axes for leaf in leaves(axis) if leaf.reason]
    for axis in axes:
        pin(axis, earlier[0] if earlier else reason)


def unify(first: Axis, second: Axis, reason: str) -> None:
    """Let two axes of one length carry the same units.

    Args:
        first: An axis.
        second: The other.
        reason: Who wants it, said where the two are cut in ways that do not fit; they are pinned then.
    """
    a, b = resolve(first), resolve(second)
    while a and b:
        if is_pinned(a) or is_pinned(b):
            return pin_together((a, b), reason)
        if a[0].size != b[0].size and not _even(a[0], b[0]):
            return pin_together((a, b), f"{reason}: {MISFIT}")
        a, b = resolve(a), resolve(b)
        if a[0] is not b[0]:
            _become_one(a[0], b[0], reason)
        a, b = resolve(a[1:]), resolve(b[1:])
    return None


def _even(one: Factor, other: Factor) -> bool:
    """Cut two factors such that the outermost parts are of one size; return whether that is possible."""
    common = gcd(one.size, other.size)
    uneven = [factor for factor in (one, other) if factor.size != common]
    if common == 1 or any(factor.pieces for factor in uneven):
        return False
    for factor in uneven:
        cut_product(factor, common)
    return True


def cut_product(factor: Factor, outer: int) -> None:
    """Cut a whole factor into an outer one of this size and an inner one."""
    factor.pieces = ((*fresh(outer, factor.reason), *fresh(factor.size // outer, factor.reason)),)


def _become_one(one: Factor, other: Factor, reason: str) -> None:
    if one.pieces and other.pieces:
        _unify_pieces(one, other, reason)
    elif one.pieces:
        other.same = one
        if other.reason:
            pin([one], other.reason)
    else:
        one.same = other
        if one.reason:
            pin([other], one.reason)


def _unify_pieces(one: Factor, other: Factor, reason: str) -> None:
    """Let two concatenations carry the same units, cut at the boundaries of both."""
    bounds = sorted({*_bounds(one), *_bounds(other)})
    sizes = [end - start for start, end in pairwise([0, *bounds])]
    ours, theirs = cut([one], sizes), cut([other], sizes)
    if ours is None or theirs is None:
        return pin_together(([one], [other]), f"{reason}: {MISFIT}")
    for piece, partner in zip(ours, theirs, strict=True):
        unify(piece, partner, reason)
    return None


def _bounds(factor: Factor) -> list[int]:
    """Return where the pieces of a concatenation end."""
    ends, end = [], 0
    for piece in side_by_side([factor]):
        end += length(piece)
        ends.append(end)
    return ends


def concatenated(axes: Sequence[Axis]) -> list[Factor]:
    """Return an axis on which these lie side by side."""
    if len(axes) == 1:
        return list(axes[0])
    return [Factor(sum(map(length, axes)), pieces=tuple(axes))]


def cut(axis: Axis, sizes: Sequence[int]) -> list[list[Factor]] | None:
    """Cut an axis into consecutive pieces.

    Args:
        axis: An axis.
        sizes: Lengths of the pieces, all above 0; their sum is its length.

    Returns:
        The pieces, or None where a cut would go through units of an inner factor.
    """
    parts = resolve(axis)
    if len(sizes) == 1:
        return [parts]
    outer, inner = parts[0], length(parts[1:])
    if any(size % inner for size in sizes):
        return None
    pieces = _cut_factor(outer, [size // inner for size in sizes])
    return None if pieces is None else [[*piece, *parts[1:]] for piece in pieces]


def _cut_factor(factor: Factor, sizes: Sequence[int]) -> list[list[Factor]] | None:
    if not factor.pieces:
        factor.pieces = tuple(fresh(size, factor.reason) for size in sizes)
        return [list(piece) for piece in factor.pieces]
    small = _refined(factor, sizes)
    if small is None:
        return None
    found, rest = [], iter(small)
    for size in sizes:
        taken: list[list[Factor]] = []
        while sum(map(length, taken)) < size:
            taken.append(next(rest))
        found.append(concatenated(taken))
    return found


def _refined(factor: Factor, sizes: Sequence[int]) -> list[list[Factor]] | None:
    """Return the pieces of a concatenation, cut further where one of these sizes ends within one of them."""
    ends = {sum(sizes[: count + 1]) for count in range(len(sizes))}
    found: list[list[Factor]] = []
    start = 0
    for piece in side_by_side([factor]):
        end = start + length(piece)
        bounds = [start, *sorted(bound for bound in ends if start < bound < end), end]
        parts = cut(piece, [later - earlier for earlier, later in pairwise(bounds)])
        if parts is None:
            return None
        found += parts
        start = end
    return found
