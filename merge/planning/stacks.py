"""Which tensors of its models a stack, or a join, takes, and what they are called in its outcome."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from ..errors import UsageError
from .blocks import is_after
from .depth import stack_sizes
from .names import HEADS, tied_twin
from .stack_fit import check_alike
from .stack_part import Part, Tensors, layer_place, numbered

LAYER_KEYS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "depth")
_RANGE = re.compile(r"\s*([0-9]{0,18})\s*:\s*([0-9]{0,18})\s*")


class Taken(NamedTuple):
    """Where a tensor of the outcome comes from: the number of the part, and the tensor's name there."""

    part: int
    name: str


def joined(parts: Sequence[Tensors], tests: Sequence[Callable[[str], object]]) -> dict[str, Taken]:
    """Return where every tensor of joined models comes from: the first model that has it and whose test it passes."""
    found: dict[str, Taken] = {}
    for number, (tensors, test) in enumerate(zip(parts, tests, strict=True)):
        for name in tensors:
            if name not in found and test(name):
                found[name] = Taken(number, name)
    return found


def stacked(parts: Sequence[Part], stack: str) -> dict[str, Taken]:
    """Return where every tensor of a stack comes from, in the order of the output.

    Args:
        parts: The models, the lowest first.
        stack: What stands in front of the layers' numbers; empty where the models show it.

    Raises:
        UsageError: A model has no such layers, or its layers do not fit those of the first.
    """
    prefixes = [_stack_of(part, stack) for part in parts]
    found = {name: Taken(0, name) for name in _outside(parts[0].tensors, prefixes[0], after=False)}
    height = 0
    for number, (part, prefix) in enumerate(zip(parts, prefixes, strict=True)):
        first, last = _range(part, prefix)
        for name in part.tensors:
            place = layer_place(name)
            if place and place[0] == prefix and first <= place[1] < last:
                rest = name[len(numbered(prefix, place[1])) :]
                found[numbered(prefixes[0], height + place[1] - first) + rest] = Taken(number, name)
        height += last - first
    check_alike(parts, prefixes)
    final = len(parts) - 1
    outside = _outside(parts[final].tensors, prefixes[final], after=True)
    after = {_as_in_first(name, parts[0].tensors, prefixes[0], prefixes[final]): name for name in outside}
    after |= _tied_head(parts[0], parts[final])
    return _in_order(found, prefixes[0]) | {name: Taken(final, own) for name, own in after.items()}


def _tied_head(first: Part, last: Part) -> dict[str, str]:
    """Return the head of a last part that ties it to its embedding, where the first part has a head of its own."""
    heads = [head for head in HEADS if head in first.tensors and head not in last.tensors]
    twins = {head: tied_twin(head, last.tensors, last.config) for head in heads}
    lost = next((head for head, own in twins.items() if own is None), None)
    if lost is not None:
        what = f"{last.called} has no '{lost}', and what follows the layers is the last model's"
        raise UsageError(what, where=last.where, hint="end with a model that has a head; it may be tied")
    return {head: own for head, own in twins.items() if own is not None}


def _as_in_first(name: str, first: Tensors, prefix: str, own: str) -> str:
    """Return what the first part calls a tensor of another whose names begin otherwise, as its layers' names show."""
    alike = 0
    while alike < min(len(prefix), len(own)) and prefix[-1 - alike] == own[-1 - alike]:
        alike += 1
    start, other = prefix[: len(prefix) - alike], own[: len(own) - alike]
    there = start + name[len(other) :]
    return there if name.startswith(other) and there in first else name


def _in_order(found: dict[str, Taken], prefix: str) -> dict[str, Taken]:
    """Return them layer by layer: within a model, names may come in any order."""

    def layer(name: str) -> int:
        place = layer_place(name)
        return place[1] if place and place[0] == prefix else -1

    return {name: found[name] for name in sorted(found, key=layer)}


def _outside(tensors: Iterable[str], prefix: str, *, after: bool) -> list[str]:
    """Return the tensors outside a stack: those that work on what its last layer puts out, or all others."""
    places = {name: layer_place(name) for name in tensors}
    outside = [name for name, place in places.items() if place is None or place[0] != prefix]
    return [name for name in outside if (places[name] is None and is_after(name)) is after]


def _stack_of(part: Part, given: str) -> str:
    """Return what stands in front of the numbers of a part's layers."""
    sizes = stack_sizes(part.tensors)
    if given:
        fitting = [given] if given in sizes else [prefix for prefix in sizes if prefix.endswith(f".{given}")]
        if len(fitting) == 1:
            return fitting[0]
        known = ", ".join(f"'{prefix}'" for prefix in sorted(sizes)) or "none"
        what = f"{part.called} has {'several stacks' if fitting else 'no stack'} named '{given}'"
        raise UsageError(what, where=part.where, hint=f"its stacks of layers: {known}")
    if not sizes:
        raise UsageError(f"the names of {part.called} show no layers", where=part.where)
    stated = [part.config.get(key) for key in LAYER_KEYS]  # a list: a strange config.json holds what has no hash
    fitting = [prefix for prefix, size in sizes.items() if size in stated] if len(sizes) > 1 else list(sizes)
    if len(fitting) != 1:
        known = ", ".join(f"'{prefix}'" for prefix in sorted(sizes))
        what = f"{part.called} has several stacks of layers: {known}"
        raise UsageError(what, where=part.where, hint="say which one: options: {stack: NAME}, or --stack NAME")
    return fitting[0]


def _range(part: Part, prefix: str) -> tuple[int, int]:
    """Return the first layer that is taken, and the first above it that is not."""
    size = stack_sizes(part.tensors)[prefix]
    match = _RANGE.fullmatch(part.range)
    if match is None:
        what = f"a range of layers is FIRST:LAST, not '{part.range}'"
        raise UsageError(what, where=part.where, hint="0:24 are the layers 0 to 23; 8: are those from 8 on")
    first, last = int(match[1] or 0), int(match[2] or size)
    if last > size:
        what = f"layers up to {last - 1} are asked for, and {part.called} has {size}, numbered from 0"
        raise UsageError(what, where=part.where, hint=f"the last range possible ends at {size}")
    if first >= last:
        raise UsageError(f"the range of layers {part.range} is empty", where=part.where, hint="the end is excluded")
    return first, last
