"""Whether groups can hold for a checkpoint: what can be checked by shapes alone, and how much of it they cover."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

from ..errors import UsageError, suggest
from .expanding import KINDS, Shapes, Where
from .groups import Group, Groups, Member


class Coverage(NamedTuple):
    """How much of a checkpoint groups move.

    Attributes:
        share: Of all entries, those in tensors of which some axis moves.
        uncovered: Names of the tensors of which none does, in the checkpoint's order.
    """

    share: float
    uncovered: list[str]


def check(groups: Groups, shapes: Shapes, where: Where | None = None) -> None:
    """Refuse groups that do not fit a checkpoint or contradict each other.

    Args:
        groups: The groups.
        shapes: Of all tensors of the checkpoint, by name.
        where: Tells where a group or a member stands in a file.

    Raises:
        UsageError: A tensor, axis or piece that is not there, members of different sizes, a sub-axis that moves twice,
            or a group nested in one that does not hold it.
    """
    at = where or (lambda group, member: groups.origin or None)
    for group in groups.groups.values():
        _check_group(group, groups, shapes, at)
    for group in groups.groups.values():
        _check_parent(group, groups, at)
    _check_overlaps(groups, at)


def coverage(groups: Groups, shapes: Shapes) -> Coverage:
    """Return how much of a checkpoint's tensors moves.

    Args:
        groups: The groups; those of one unit move nothing.
        shapes: Of the tensors that count, by name: those of floating-point numbers.
    """
    moving = {member.tensor for group in groups.groups.values() if group.size > 1 for member in group.members}
    total = sum(math.prod(shape) for shape in shapes.values())
    covered = sum(math.prod(shape) for name, shape in shapes.items() if name in moving)
    return Coverage(covered / total if total else 0.0, [name for name in shapes if name not in moving])


def _check_group(group: Group, groups: Groups, shapes: Shapes, at: Where) -> None:
    place = at(group.name, None)
    if not group.members:
        raise UsageError(f"the group '{group.name}' has no members", where=place)
    if group.kind not in KINDS:
        hint = suggest(group.kind, KINDS) or f"one of {', '.join(KINDS)}"
        raise UsageError(f"'{group.name}' has the unknown kind '{group.kind}'", where=place, hint=hint)
    for member in group.only_follows.difference(group.members):
        raise UsageError(f"'{group.name}': {member} follows, but is no member", where=place)
    for member in group.members:
        _check_member(group, member, shapes, at(group.name, member))


def _check_member(group: Group, member: Member, shapes: Shapes, where: str | None) -> None:
    name = f"'{group.name}': {member}"
    shape = shapes.get(member.tensor)
    if shape is None:
        raise UsageError(f"{name}: no such tensor", where=where, hint=suggest(member.tensor, shapes))
    if not 0 <= member.axis < len(shape):
        raise UsageError(f"{name}: the tensor has the shape {list(shape)}", where=where)
    if not 0 <= member.factor < len(member.sizes) or min(member.sizes) < 1 or member.offset < 0:
        raise UsageError(f"{name}: there is no such part of an axis", where=where)
    if member.offset + member.length > shape[member.axis]:
        what = f"{name}: the axis ends at {shape[member.axis]}, before {member.offset + member.length}"
        raise UsageError(what, where=where)
    if member.size != group.size:
        what = f"{name} has {member.size} units, and the group {group.size}"
        raise UsageError(what, where=where, hint="all members of a group have the same units")


def _check_parent(group: Group, groups: Groups, at: Where) -> None:
    """The parent must be there, be no nested group itself, and hold every member's units on their left."""
    if group.parent is None:
        return
    parent, place = groups.groups.get(group.parent), at(group.name, None)
    if parent is None:
        hint = suggest(group.parent, groups.groups)
        raise UsageError(f"'{group.name}' is nested in '{group.parent}', which is no group", where=place, hint=hint)
    if parent.parent is not None:
        what = f"'{group.name}' is nested in '{parent.name}', which is nested in '{parent.parent}'"
        raise UsageError(what, where=place, hint="groups can be nested once")
    for member in group.members:
        if not any(_holds(other, member) for other in parent.members):
            what = f"'{group.name}': {member} does not lie within units of '{parent.name}'"
            hint = f"'{parent.name}' needs a member on the same piece of the axis, with its units further left"
            raise UsageError(what, where=at(group.name, member), hint=hint)


def _holds(outer: Member, inner: Member) -> bool:
    """Tell whether the sub-axis of a nested member lies within single units of another's."""
    if _piece(outer) != _piece(inner):
        return False
    left = inner.sizes[: inner.factor]
    return any(
        left[factor] == outer.size and math.prod(inner.sizes[factor + 1 :]) == _stride(outer)
        for factor in range(len(left))
    )


def _check_overlaps(groups: Groups, at: Where) -> None:
    """No sub-axis may move twice, and pieces of an axis are the same or apart."""
    for members in _by_axis(groups):
        for (group, member), (other, twin) in combinations(members, 2):
            if _apart(member, twin):
                continue
            where = at(other, twin)
            if (group, member) == (other, twin):
                raise UsageError(f"'{group}' has {member} twice", where=where)
            if _piece(member) == _piece(twin):
                what = f"{twin} of '{other}' moves what {member} of '{group}' moves"
                raise UsageError(what, where=where, hint="a unit belongs to one group, once")
            what = f"{twin} of '{other}' overlaps with {member} of '{group}'"
            raise UsageError(what, where=where, hint="pieces of an axis are the same or lie apart")


def _by_axis(groups: Groups) -> Iterator[list[tuple[str, Member]]]:
    found: dict[tuple[str, int], list[tuple[str, Member]]] = {}
    for group in groups.groups.values():
        for member in group.members:
            found.setdefault((member.tensor, member.axis), []).append((group.name, member))
    yield from found.values()


def _apart(one: Member, other: Member) -> bool:
    """Tell whether two sub-axes of an axis can move independently: apart, or different digits of the same numbers."""
    if one.offset + one.length <= other.offset or other.offset + other.length <= one.offset:
        return True
    inner, outer = sorted((one, other), key=_stride)
    return _piece(one) == _piece(other) and _stride(outer) % (_stride(inner) * inner.size) == 0


def _piece(member: Member) -> tuple[str, int, int, int]:
    return member.tensor, member.axis, member.offset, member.length


def _stride(member: Member) -> int:
    return math.prod(member.sizes[member.factor + 1 :])
