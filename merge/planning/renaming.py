"""A nested outcome under the names of the model beside it, where those of the two differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ..registry import find_method
from .bound import BoundCall
from .stack_part import Tensors
from .stacks import Taken

Cut = Callable[[BoundCall, Mapping[str, str]], BoundCall]


def renamed(bound: BoundCall, own: Tensors, same: Mapping[str, str], wanted: Mapping[str, str], cut: Cut) -> BoundCall:
    """Return a join that takes what is wanted of a call, under other names.

    Args:
        bound: The call.
        own: The tensors of its outcome.
        same: By the other names, its own; what it lacks is not among them.
        wanted: By the other names, those of the output.
        cut: Returns the call with leaves that have what is wanted of it, by its own names.
    """
    groups: list[dict[str, str]] = []  # own name ▸ other name; tied weights are one tensor of its own under two names
    takes: dict[str, Taken] = {}
    for name in wanted:
        if name in same:
            number = sum(same[name] in group for group in groups)
            if number == len(groups):
                groups.append({})
            groups[number][same[name]] = name
            takes[name] = Taken(number, same[name])
    parts = tuple(cut(bound, {inner: wanted[name] for inner, name in group.items()}) for group in groups)
    return replace(
        bound,
        method=find_method("join"),
        inputs=parts,
        base=None,
        options={},
        rules=(),
        witnesses=(),
        wheres=(bound.where,) * len(parts),
        takes=takes,
        part_tensors=(own,) * len(parts),
    )
