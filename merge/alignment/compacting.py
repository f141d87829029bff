"""Write groups that repeat once, with ``{i}`` for the number that differs, and members that repeat with ``*``.

Whatever is shortened is looked up among the checkpoint's tensors at once; where it means more or less than what it
stands for, that is written out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from string import ascii_lowercase

from ..errors import UsageError
from .expanding import GroupPattern, Shapes, expand
from .groups import Group, Groups, Member
from .patterns import parse_member

_NUMBER = re.compile(r"(?<![0-9])(?:0|[1-9][0-9]*)(?![0-9])")
_LETTERS = "i" + ascii_lowercase[ascii_lowercase.index("j") :]

Texts = tuple[str, ...]


def compact(groups: Groups, shapes: Shapes) -> list[GroupPattern]:
    """Return patterns that stand for these groups and no others.

    Args:
        groups: The groups.
        shapes: Of all tensors of the checkpoint, by name.
    """
    found: list[GroupPattern] = []
    for alike in _alike(groups):
        written = [_written(group, shapes) for group in alike]
        joined = _joined(written) if len(written) > 1 else None
        if joined is not None and _stands_for([joined], alike, shapes):
            found.append(joined)
        else:
            found += [_short(one, shapes) for one in written]
    return found


def _alike(groups: Groups) -> Iterable[list[Group]]:
    """Return the groups that differ in the numbers in their names only, together."""
    found: dict[object, list[Group]] = {}
    for group in groups.groups.values():
        follows = len(group.only_follows)
        key = (_NUMBER.sub("#", group.name), group.size, group.kind, follows, len(group.members))
        found.setdefault(key, []).append(group)
    return found.values()


def _written(group: Group, shapes: Shapes) -> GroupPattern:
    """Return a group as it is, without wildcards."""
    members = sorted((_text(member, shapes), member in group.only_follows) for member in group.members)
    return GroupPattern(
        group.name,
        tuple(parse_member(text) for text, follows in members if not follows),
        tuple(parse_member(text) for text, follows in members if follows),
        group.size,
        group.kind,
        group.parent,
    )


def _text(member: Member, shapes: Shapes) -> str:
    """Return a member's text, with its offset where it is but a piece of the axis."""
    length = shapes[member.tensor][member.axis]
    if member.sizes == (length,):
        return f"{member.tensor}:{member.axis}"
    piece = f"@{member.offset}" if member.length < length else ""
    return f"{member.tensor}:{member.axis}{piece}[{','.join(map(str, member.sizes))}]/{member.factor}"


def _joined(written: Sequence[GroupPattern]) -> GroupPattern | None:
    """Return one pattern for groups that are alike, or None where their members or parents do not go together."""
    numbers = [tuple(_NUMBER.findall(one.name)) for one in written]
    if not numbers[0] or len(numbers[0]) > len(_LETTERS):
        return None
    columns = list(zip(*numbers, strict=True))
    letters = {
        column: f"{{{letter}}}" for column, letter in zip(columns, _LETTERS, strict=False) if len(set(column)) > 1
    }
    name = _together([one.name for one in written], letters)
    parent = _together([one.parent or "" for one in written], letters)
    members = [_together_all([_texts(one.members) for one in written], letters)]
    members.append(_together_all([_texts(one.follows) for one in written], letters))
    if name is None or parent is None or members[0] is None or members[1] is None:
        return None
    patterns = [tuple(parse_member(text) for text in texts or ()) for texts in members]
    return replace(written[0], name=name, parent=parent or None, members=patterns[0], follows=patterns[1])


def _texts(members: Iterable[object]) -> list[str]:
    return [str(getattr(member, "text", "")) for member in members]


def _together_all(lists: Sequence[list[str]], letters: dict[Texts, str]) -> list[str] | None:
    """Join the members of several groups, the first of each with the first of the others, and so on."""
    if len({len(texts) for texts in lists}) > 1:
        return None
    ordered = [sorted(texts, key=lambda text: (_NUMBER.sub("#", text), _numbers(text))) for texts in lists]
    joined = [_together(texts, letters) for texts in zip(*ordered, strict=True)]
    return None if None in joined else [text for text in joined if text is not None]


def _numbers(text: str) -> list[int]:
    return [int(number) for number in _NUMBER.findall(text)]


def _together(texts: Sequence[str], letters: dict[Texts, str]) -> str | None:
    """Return a text for several that differ in their numbers, or None if one differs as no placeholder does."""
    parts = _NUMBER.split(texts[0])
    if any(_NUMBER.split(text) != parts for text in texts):
        return None
    columns = zip(*(_NUMBER.findall(text) for text in texts), strict=True)
    found = [column[0] if len(set(column)) == 1 else letters.get(column) for column in columns]
    if None in found:
        return None
    return "".join(part + (number or "") for part, number in zip(parts, [*found, ""], strict=True))


def _short(written: GroupPattern, shapes: Shapes) -> GroupPattern:
    """Return a group with ``*`` for numbers in members that differ in nothing else."""
    members, follows = (tuple(_starred(_texts(texts), shapes)) for texts in (written.members, written.follows))
    return replace(
        written,
        members=tuple(parse_member(text) for text in members),
        follows=tuple(parse_member(text) for text in follows),
    )


def _starred(texts: Sequence[str], shapes: Shapes) -> Iterator[str]:
    """Yield texts with ``*`` in place of the numbers that differ between tensors, where that means no other tensor."""
    alike: dict[tuple[str, str], list[str]] = {}
    for text in texts:
        tensor, _, rest = text.rpartition(":")
        alike.setdefault((_NUMBER.sub("#", tensor), rest), []).append(tensor)
    for (_, rest), tensors in alike.items():
        columns = list(zip(*(_NUMBER.findall(tensor) for tensor in tensors), strict=True))
        found = [column[0] if len(set(column)) == 1 else "*" for column in columns]
        starred = "".join(map("".join, zip(_NUMBER.split(tensors[0]), [*found, ""], strict=True)))
        meant = [name for names in parse_member(f"{starred}:{rest}").matches(shapes).values() for name in names]
        yield from [f"{starred}:{rest}"] if sorted(meant) == sorted(tensors) else [f"{name}:{rest}" for name in tensors]


def _stands_for(patterns: Sequence[GroupPattern], groups: Sequence[Group], shapes: Shapes) -> bool:
    """Tell whether patterns expand to these groups."""
    try:
        expanded = expand(patterns, shapes).groups
    except UsageError:
        return False
    return set(expanded) == {group.name for group in groups} and all(
        _same(expanded[group.name], group) for group in groups
    )


def _same(one: Group, other: Group) -> bool:
    """Tell whether two groups are the same but for the order of their members."""
    return (
        sorted(map(repr, one.members)) == sorted(map(repr, other.members))
        and one.only_follows == other.only_follows
        and (one.size, one.kind, one.parent) == (other.size, other.kind, other.parent)
    )
