"""Groups as JSON, for files that carry their groups with them, and a hash that tells whether groups are the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..errors import MergeError
from .groups import Group, Groups, Member


def groups_document(groups: Groups) -> list[dict[str, Any]]:
    """Return groups as JSON: all that permuting and matching need; why other axes are pinned is left out."""
    return [_document(group) for group in groups.groups.values()]


def _document(group: Group) -> dict[str, Any]:
    found: dict[str, Any] = {"name": group.name, "size": group.size, "kind": group.kind, "parent": group.parent}
    found["members"] = [[*_where(member), member in group.only_follows] for member in group.members]
    return found


def _where(member: Member) -> tuple[str, int, list[int], int, int]:
    return member.tensor, member.axis, list(member.sizes), member.factor, member.offset


def groups_hash(groups: Groups) -> str:
    """Return a hash of groups that does not depend on the order in which they or their members are listed."""
    import xxhash

    documents = sorted(groups_document(groups), key=lambda group: str(group["name"]))
    for document in documents:
        document["members"] = sorted(document["members"])
    return xxhash.xxh3_128_hexdigest(json.dumps(documents, sort_keys=True).encode())


def read_groups_document(document: Any, where: str) -> Groups:
    """Undo `groups_document`.

    Raises:
        MergeError: It is none, naming the group.
    """
    if not isinstance(document, list):
        raise MergeError("its groups are no list", where=where, hint="make the file again")
    found: dict[str, Group] = {}
    for entry in document:
        group = _group(entry, where)
        if group.parent is not None and group.parent not in found:
            raise MergeError(f"group '{group.name}' is nested in '{group.parent}', which is missing", where=where)
        found[group.name] = group
    return Groups(found, origin=where)


def _group(entry: Any, where: str) -> Group:
    name = entry.get("name") if isinstance(entry, Mapping) else None
    try:
        members = [
            (Member(tensor, axis, tuple(sizes), factor, offset), follows)
            for tensor, axis, sizes, factor, offset, follows in entry["members"]
        ]
        follow = frozenset(member for member, follows in members if follows)
        group = Group(
            entry["name"], entry["size"], tuple(member for member, _ in members), entry["kind"], entry["parent"], follow
        )
        sound = all(member.size == group.size for member in group.members) and _has_right_types(group)
    except (TypeError, ValueError, KeyError, IndexError):
        sound = False
    if not sound:
        raise MergeError(f"group {name!r} in the metadata is broken", where=where, hint="make the file again")
    return group


def _has_right_types(group: Group) -> bool:
    texts = [group.name, group.kind, *(member.tensor for member in group.members)]
    numbers = [group.size] + [
        number for member in group.members for number in (member.axis, *member.sizes, member.factor, member.offset)
    ]
    parent = group.parent is None or isinstance(group.parent, str)
    return parent and all(isinstance(text, str) for text in texts) and all(type(n) is int and n >= 0 for n in numbers)
