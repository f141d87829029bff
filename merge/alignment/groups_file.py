"""Files of groups: YAML that a person can read, write and mend.

    groups:
      residual: {members: ["embed.weight:1", "blocks.*.norm1.weight:0", …], follows: ["bn.running_mean:0"]}
      heads.{i}: {size: 12, members: ["blocks.{i}.attn.qkv.weight:0[3,12,64]/1", …]}
      within.{i}: {kind: within-heads, parent: "heads.{i}", members: [...]}

`patterns` says how members are written. ``follows`` lists members that move along without saying which units belong
together, such as BatchNorm's running statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..checkpoints.local_path import near_name
from ..errors import UsageError, suggest
from ..section import Section, parse_section, read_section
from .compacting import compact
from .expanding import KINDS, Expanded, GroupPattern, Shapes, default_kind, expand
from .groups import Groups
from .patterns import LARGEST, PLACEHOLDER, MemberPattern, parse_member
from .validation import check

FORM = 'such as \'groups: {first: {members: ["fc1.weight:0", "fc1.bias:0", "fc2.weight:1"]}}\''
_KEYS = ("size", "members", "follows", "kind", "parent")


def read_groups(path: Path, shapes: Shapes, name: str | None = None) -> Groups:
    """Read the groups of a checkpoint from a file.

    Args:
        path: The YAML file.
        shapes: Of all tensors of the checkpoint, by name.
        name: What stands for the file in messages; by default the path.

    Raises:
        UsageError: With ``file:line:column``: what is no group, or does not fit the checkpoint.
    """
    where = name or str(path)
    check_readable(path, where)
    return _groups(read_section(path, where), shapes)


def check_readable(path: Path, where: str) -> None:
    """Refuse what is no file of text, before anything is read from it as YAML.

    Raises:
        UsageError: There is no such file, or it is a folder or binary.
    """
    if path.is_dir():
        raise UsageError("this is a folder, and groups are a YAML file", where=where, hint=FORM)
    if not path.exists():
        raise UsageError("there is no such file of groups", where=where, hint=near_name(path) or FORM)
    try:
        path.read_text("utf-8")
    except UnicodeDecodeError:
        raise UsageError("this is a binary file, and groups are YAML text", where=where, hint=FORM) from None
    except OSError as error:
        raise UsageError(f"the file of groups cannot be read: {error.strerror}", where=where) from None


def parse_groups(text: str, shapes: Shapes, name: str) -> Groups:
    """Read the groups of a checkpoint from YAML; as `read_groups`."""
    return _groups(parse_section(text, name), shapes)


def render_groups(groups: Groups, shapes: Shapes) -> str:
    """Return the YAML of groups, those that repeat written once; reading it gives the same groups.

    Args:
        groups: The groups; why axes are pinned is not part of a file.
        shapes: Of all tensors of the checkpoint, by name.
    """
    return "\n".join(["groups:", *(line for pattern in compact(groups, shapes) for line in _lines(pattern))]) + "\n"


def write_groups(groups: Groups, shapes: Shapes, path: Path) -> None:
    """Write `render_groups` to a file. Raises UsageError when it cannot be written."""
    try:
        path.write_text(render_groups(groups, shapes), "utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"cannot write it: {error.strerror}", where=str(path)) from None


def _groups(top: Section, shapes: Shapes) -> Groups:
    top.check_keys(("groups",), required=("groups",))
    section = top.section("groups")
    if not section.mapping:
        raise UsageError("there is no group", where=top.where("groups"))
    patterns = [_pattern(section, name) for name in section.mapping]
    expanded = expand(patterns, shapes)
    groups = expanded.ordered(top.name)
    _check_parents(patterns, expanded)
    check(groups, shapes, expanded.where)
    return groups


def _check_parents(patterns: list[GroupPattern], expanded: Expanded) -> None:
    """Refuse the name of a parent that is no pattern's and no group's, where it stands."""
    known = [pattern.name for pattern in patterns]
    for pattern in patterns:
        if pattern.parent is not None and pattern.parent not in known and pattern.parent not in expanded.groups:
            what = f"'{pattern.name}' is nested in '{pattern.parent}', which is no group"
            raise UsageError(what, where=pattern.where, hint=suggest(pattern.parent, known))


def _pattern(section: Section, name: object) -> GroupPattern:
    """Read one group."""
    if not isinstance(name, str) or not name:
        raise UsageError(f"a group's name must be a text, not {name!r}", where=section.where(name))  # type: ignore[arg-type]
    entry = section.section(name)
    entry.check_keys(_KEYS)
    members, follows = tuple(_members(entry, "members")), tuple(_members(entry, "follows"))
    if not members:
        what = f"'{name}' has no members" + (" to tell its units by" if follows else "")
        raise UsageError(what, where=section.where(name))
    kind, parent = (entry.text(key, "") if key in entry.mapping else None for key in ("kind", "parent"))
    if kind is not None and kind not in KINDS:
        hint = suggest(kind, KINDS) or f"one of {', '.join(KINDS)}"
        raise UsageError(f"unknown kind '{kind}'", where=entry.where("kind"), hint=hint)
    _check_placeholders(name, parent, entry)
    return GroupPattern(name, members, follows, _size(entry), kind, parent, section.where(name))


def _members(entry: Section, key: str) -> Iterator[MemberPattern]:
    for item, where in entry.items(key):
        yield parse_member(item, where)


def _check_placeholders(name: str, parent: str | None, entry: Section) -> None:
    unknown = sorted(set(PLACEHOLDER.findall(parent or "")) - set(PLACEHOLDER.findall(name)))
    if unknown:
        what = f"{{{unknown[0]}}} of the parent is not in the name of the group, '{name}'"
        raise UsageError(what, where=entry.where("parent"))


def _size(entry: Section) -> int | None:
    """Return the stated number of units. Raises UsageError when it is no whole number that a tensor could have."""
    if "size" not in entry.mapping:
        return None
    size = entry.mapping["size"]
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= LARGEST:
        shown = repr(size)[:40]
        raise UsageError(f"'size' must be a whole number from 1, not {shown}", where=entry.where("size"))
    return int(size)


def _lines(pattern: GroupPattern) -> Iterator[str]:
    """Yield the YAML of one group."""
    yield f"  {_quoted(pattern.name)}:"
    yield f"    size: {pattern.size}"
    if pattern.kind is not None and pattern.kind != default_kind(pattern.name):
        yield f"    kind: {pattern.kind}"
    if pattern.parent is not None:
        yield f"    parent: {_quoted(pattern.parent)}"
    for key, members in (("members", pattern.members), ("follows", pattern.follows)):
        if members:
            yield f"    {key}:"
            yield from (f"      - {_quoted(member.text)}" for member in members)


def _quoted(text: str) -> str:
    """Return a text as YAML, which reads JSON's strings."""
    import json

    return json.dumps(text, ensure_ascii=False)
