"""Do checkpoints fit together as members of a bundle? Headers and configurations tell, before any weight is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import UsageError, some_of

if TYPE_CHECKING:
    from ..checkpoints.checkpoint import FileCheckpoint

_UNSTABLE = ("num_batches_tracked", "position_ids")  # library versions differ in whether they write these


def check_one_architecture(members: Sequence[FileCheckpoint]) -> None:
    """Refuse members whose weights cannot be interpolated.

    Raises:
        UsageError: Naming tensors that one of them lacks, or that differ in shape.
    """
    first, *others = members
    for other in others:
        where = other.location
        missing = [name for name in _names(first) if name not in other.tensors]
        more = [name for name in _names(other) if name not in first.tensors]
        if missing or more:
            problems = [f"lacks {_quoted(missing)}"] if missing else []
            problems += [f"has {_quoted(more)} besides"] if more else []
            what = f"another architecture than {first.location}: it {' and '.join(problems)}"
            raise UsageError(what, where=where)
        for name in _names(first):
            one, two = first.tensors[name].shape, other.tensors[name].shape
            if one != two:
                what = f"'{name}' has shape {list(two)}, in {first.location} it has {list(one)}"
                raise UsageError(what, where=where, hint="their weights cannot be interpolated")


def check_label_sets(members: Sequence[FileCheckpoint]) -> None:
    """Refuse classifiers whose configurations name other classes, or the same ones in another order.

    Raises:
        UsageError: Naming the first class that differs.
    """
    first, *others = members
    labels = _labels(first.config)
    for other in others:
        theirs = _labels(other.config)
        if labels is None or theirs is None or labels == theirs:
            continue
        if len(labels) != len(theirs):
            what = f"it has {len(theirs)} classes, {first.location} has {len(labels)}"
        else:
            number = next(key for key in labels if labels[key] != theirs.get(key))
            what = f"its class {number} is '{theirs.get(number)}', in {first.location} '{labels[number]}'"
        raise UsageError(what, where=other.location, hint="members need the same classes in the same order")


def _labels(config: Mapping[str, Any]) -> dict[int, str] | None:
    """Return the names of the classes by number, where a configuration has names of its own for them."""
    found = config.get("id2label")
    if not isinstance(found, dict) or not all(str(key).isdigit() for key in found):
        return None
    return {int(key): str(value) for key, value in found.items()}


def _names(member: FileCheckpoint) -> list[str]:
    return [name for name in member.tensors if not name.endswith(_UNSTABLE)]


def _quoted(names: Sequence[str]) -> str:
    return some_of((f"'{name}'" for name in names), 3)
