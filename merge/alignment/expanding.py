"""Turn groups written with wildcards into the groups of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ..errors import UsageError, suggest
from .groups import Group, Groups, Member
from .patterns import PLACEHOLDER, Binding, MemberPattern

KINDS = ("residual", "heads", "within-heads", "mlp", "other")

Shapes = Mapping[str, tuple[int, ...]]
Where = Callable[[str, Member | None], str | None]  # of a group, or of a member of it


@dataclass(frozen=True)
class GroupPattern:
    """A group as it is written, or several if its name has placeholders.

    Attributes:
        name: With ``{i}``.
        members: What says which units belong together.
        follows: Members that only move along.
        size: Number of units, where it is stated.
        kind: One of `KINDS`; by default that with which the name begins, else ``other``.
        parent: Name of the group within whose units this one lies, with the placeholders of `name`.
        where: ``file:line:column``.
    """

    name: str
    members: tuple[MemberPattern, ...]
    follows: tuple[MemberPattern, ...] = ()
    size: int | None = None
    kind: str | None = None
    parent: str | None = None
    where: str | None = None


@dataclass
class Expanded:
    """Groups of a checkpoint, and where each of them and each member stands in the file."""

    groups: dict[str, Group] = field(default_factory=dict)
    places: dict[tuple[str, Member | None], str | None] = field(default_factory=dict)

    def where(self, group: str, member: Member | None) -> str | None:
        """Return ``file:line:column`` of a group or a member."""
        return self.places.get((group, member))

    def ordered(self, origin: str, pinned: Mapping[str, str] | None = None) -> Groups:
        """Return the groups with parents before the groups that are nested in them."""
        ordered = sorted(self.groups.values(), key=lambda group: group.parent is not None)
        return Groups({group.name: group for group in ordered}, pinned or {}, origin)


def expand(patterns: Iterable[GroupPattern], shapes: Shapes) -> Expanded:
    """Find what patterns stand for among a checkpoint's tensors.

    Args:
        patterns: The groups as they are written.
        shapes: Of all tensors of the checkpoint, by name.

    Returns:
        Groups that may still contradict each other; `validation.check` finds that.

    Raises:
        UsageError: A member matches nothing, has another shape, or two groups have one name.
    """
    found = Expanded()
    for pattern in patterns:
        for group, places in _groups_of(pattern, shapes):
            if group.name in found.groups:
                raise UsageError(f"there are two groups named '{group.name}'", where=pattern.where)
            found.groups[group.name] = group
            found.places |= {(group.name, member): where for member, where in places.items()}
            found.places[group.name, None] = pattern.where
    return found


def default_kind(name: str) -> str:
    """Return the kind of a group that states none: that with which its name begins, as in ``mlp.3``."""
    first = name.partition(".")[0]
    return first if first in KINDS else "other"


def _groups_of(pattern: GroupPattern, shapes: Shapes) -> Iterator[tuple[Group, dict[Member, str | None]]]:
    """Yield a group for everything that the placeholders can stand for, and where its members stand."""
    placeholders = frozenset(PLACEHOLDER.findall(pattern.name))
    matches = {member: _matches(member, pattern, placeholders, shapes) for member in pattern.members + pattern.follows}
    for binding in _bindings(pattern, placeholders, matches):
        places: dict[Member, str | None] = {}
        members = [_members(member, matches[member], binding, shapes, places) for member in pattern.members]
        follows = [_members(member, matches[member], binding, shapes, places) for member in pattern.follows]
        together = tuple(member for found in members + follows for member in found)
        if together:
            yield (
                Group(
                    _filled(pattern.name, binding),
                    pattern.size if pattern.size is not None else together[0].size,
                    together,
                    pattern.kind or default_kind(pattern.name),
                    _filled(pattern.parent, binding) if pattern.parent is not None else None,
                    frozenset(member for found in follows for member in found),
                ),
                places,
            )


def _matches(
    member: MemberPattern, pattern: GroupPattern, placeholders: frozenset[str], shapes: Shapes
) -> dict[Binding, list[str]]:
    """Return the tensors that a member means. Raises UsageError when there are none, or with unknown placeholders."""
    unknown = sorted(member.placeholders - placeholders)
    if unknown:
        what = f"{{{unknown[0]}}} is not in the name of the group, '{pattern.name}'"
        raise member.error(what, hint="put it there for a group each, or write * for one group")
    found = member.matches(shapes)
    if not found and not member.optional:
        numbered = PLACEHOLDER.sub("0", member.tensor).replace("*", "0")
        hint = suggest(numbered, shapes) or "see the names with: merge inspect"
        raise member.error("the checkpoint has no such tensor", hint=hint)
    return found


def _bindings(
    pattern: GroupPattern, placeholders: frozenset[str], matches: Mapping[MemberPattern, Mapping[Binding, list[str]]]
) -> list[Binding]:
    """Return all that the placeholders stand for together, lowest numbers first."""
    if not placeholders:
        return [()]
    complete = [member for member in matches if member.placeholders == placeholders]
    if not complete:
        names = ", ".join(f"{{{name}}}" for name in sorted(placeholders))
        raise UsageError(f"no member of '{pattern.name}' has all of {names}", where=pattern.where)
    found = {binding for member in complete for binding in matches[member]}
    return sorted(found, key=lambda binding: [int(number) for _, number in binding])


def _members(
    pattern: MemberPattern,
    matches: Mapping[Binding, list[str]],
    binding: Binding,
    shapes: Shapes,
    places: dict[Member, str | None],
) -> list[Member]:
    """Return the members of one group that a pattern means, and note where they stand."""
    own = tuple((name, value) for name, value in binding if name in pattern.placeholders)
    names = matches.get(own, [])
    if not names and not pattern.optional:
        given = ", ".join(f"{name} = {value}" for name, value in binding)
        raise pattern.error(f"the checkpoint has no such tensor for {given}", hint="a ? at the end lets it be absent")
    members = [pattern.member(name, shapes[name]) for name in names]
    places |= dict.fromkeys(members, pattern.where)
    return members


def _filled(text: str, binding: Binding) -> str:
    values = dict(binding)
    return PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)
