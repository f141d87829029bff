"""What is solved at once: a group with the groups nested in it, and the tensors that tell how alike units are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ..groups import Group, Groups, Member
from ..kinds import check_kinds
from ..permutations import identity
from .moving import common_sizes, on_tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Note = Callable[[str], None]


@dataclass(frozen=True)
class Term:
    """A piece of a tensor's axis, whose similarities count.

    Attributes:
        member: Where it carries the family's group.
        inner: Where it carries groups nested in that, by their names.
        others: All that moves the tensor besides; only members on this tensor.
        needs: Names of the families that these belong to.
    """

    member: Member
    inner: Mapping[str, Member]
    others: Groups
    needs: frozenset[str]

    @property
    def tensor(self) -> str:
        """The tensor's name."""
        return self.member.tensor


@dataclass(frozen=True)
class Family:
    """A group and the groups nested in it.

    Attributes:
        group: The outer group.
        moves: Whether its own units may move, or only those of the nested groups.
        nested: The nested groups that may move.
        terms: What tells which units belong together.
    """

    group: Group
    moves: bool
    nested: tuple[Group, ...]
    terms: tuple[Term, ...]

    @property
    def name(self) -> str:
        """The outer group's name."""
        return self.group.name

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its groups that may move."""
        return (*((self.name,) if self.moves else ()), *(group.name for group in self.nested))

    @cached_property
    def is_quadratic(self) -> bool:
        """Whether a tensor carries the family twice, so that similarities depend on its own order."""
        return any(self.name in term.needs for term in self.terms)

    @cached_property
    def is_settled_at_once(self) -> bool:
        """Whether solving it twice in a row changes nothing the second time."""
        return not self.is_quadratic and all(len(term.inner) < 2 for term in self.terms)

    @property
    def units(self) -> int:
        """Number of units of all its groups."""
        return self.group.size * (self.moves + sum(group.size for group in self.nested))

    def starts(self, groups: Groups) -> dict[str, NDArray[np.int64]]:
        """Return the orders of its groups that change nothing."""
        return {name: identity(groups.groups[name], groups) for name in self.names}


def families(groups: Groups, only: str = "", note: Note | None = None) -> list[Family]:
    """Return what may be solved, in the order of the groups.

    Args:
        groups: All groups.
        only: Kinds of groups that may move, with commas between; empty: all.
        note: Told why a group stays as it is.

    Raises:
        UsageError: There is no such kind, or no group of it.
    """
    active = _active(groups, only, note or (lambda text: None))
    outer = dict.fromkeys(groups.groups[name].parent or name for name in groups.groups if name in active)
    return [_family(groups.groups[name], groups, active) for name in outer]


def _active(groups: Groups, only: str, note: Note) -> set[str]:
    kinds = check_kinds(only, groups)
    found = {name for name, group in groups.groups.items() if group.kind in kinds and group.size > 1}
    for name in sorted(found):
        if reason := _why_not(groups.groups[name], groups):
            note(f"'{name}' stays as it is: {reason}")
            found.discard(name)
    return found


def _why_not(group: Group, groups: Groups) -> str | None:
    """Return why a group cannot be matched, or None."""
    if group.parent is not None and groups.groups[group.parent].parent is not None:
        return "it is nested in a group that is nested itself"
    if len({(member.tensor, member.axis, member.offset) for member in group.members}) < len(group.members):
        return "one piece of an axis carries it twice"
    parent = groups.groups[group.parent].members if group.parent else group.members
    if not all(any(_same_piece(other, member) for other in parent) for member in group.members):
        return f"its pieces of axes are others than those of '{group.parent}'"
    try:
        for member in group.members:
            common_sizes([member.sizes, *(other.sizes for other in _family_on_piece(group, member, groups))])
    except ValueError as error:
        return str(error)
    return None


def _family_on_piece(group: Group, member: Member, groups: Groups) -> list[Member]:
    family = [groups.groups[group.parent], *groups.nested(group.parent)] if group.parent else groups.nested(group.name)
    return [other for relative in family for other in relative.members if _same_piece(other, member)]


def _family(group: Group, groups: Groups, active: set[str]) -> Family:
    nested = tuple(other for other in groups.nested(group.name) if other.name in active)
    moves = group.name in active
    found = [_term(member, group, nested, groups, active) for member in group.members]
    terms = tuple(term for term in found if term is not None and (moves or term.inner))
    return Family(group, moves, nested, terms)


def _term(member: Member, group: Group, nested: tuple[Group, ...], groups: Groups, active: set[str]) -> Term | None:
    """Return what a member tells, or None where it only follows."""
    inner = {other.name: here for other in nested for here in other.members if _same_piece(here, member)}
    follows = member in group.only_follows or any(inner.get(other.name) in other.only_follows for other in nested)
    if follows:
        return None
    own = {group.name, *(other.name for other in nested)}
    others = _others(member, own, groups, active)
    needs = frozenset(groups.groups[name].parent or name for name in others.groups)
    return Term(member, inner, others, needs & _outer(groups, active))


def _others(member: Member, own: set[str], groups: Groups, active: set[str]) -> Groups:
    """Return what moves the rest of a piece: other axes, and other groups' factors of this one."""
    found = {}
    for name, group in on_tensor(groups, member.tensor).groups.items():
        relevant = active & {name} or any(other.name in active for other in groups.nested(name))
        kept = tuple(
            other
            for other in group.members
            if other.axis != member.axis
            or (_overlap(other, member) and not (name in own and _same_piece(other, member)))
        )
        if kept and relevant:
            found[name] = Group(name, group.size, kept, group.kind, group.parent)
    return Groups(found)


def _outer(groups: Groups, active: set[str]) -> set[str]:
    return {groups.groups[name].parent or name for name in active}


def _same_piece(one: Member, other: Member) -> bool:
    return (one.tensor, one.axis, one.offset, one.length) == (other.tensor, other.axis, other.offset, other.length)


def _overlap(one: Member, other: Member) -> bool:
    return one.offset < other.offset + other.length and other.offset < one.offset + one.length
