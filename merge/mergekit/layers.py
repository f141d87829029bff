"""The layers that slices take of their models: read, checked against the models, and counted in the output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..errors import UsageError
from ..planning.depth import block_of, stack_sizes
from ..planning.stack_part import Part
from ..planning.stacks import LAYER_KEYS, stacked
from ..section import Section
from .frame import Frame
from .module_names import has_modules
from .outline import layer_stacks
from .request import Cut, Member, Request, Tensor


class Stack(NamedTuple):
    """The layers of a model.

    Attributes:
        prefix: What stands in front of their numbers.
        option: The same, where it must be said because other modules are numbered too; else empty.
    """

    prefix: str
    option: str


def find_stack(member: Member, frame: Frame, where: str) -> Stack:
    """Return which modules of a model are its layers.

    Raises:
        UsageError: There are none, or several such stacks.
        MergeError: The model cannot be opened.
    """
    names = frame.shelf.outlines.of(member.whole)
    sizes = layer_stacks(filter(frame.wants, names.tensors))
    if not sizes:
        raise UsageError(f"the names of '{member.location}' show no layers", where=where)
    fitting = list(sizes)
    if len(sizes) > 1 and not has_modules(names.tensors):
        stated = {names.config.get(key) for key in LAYER_KEYS}
        fitting = [prefix for prefix, size in sizes.items() if size in stated]
    if len(fitting) != 1:
        known = ", ".join(f"'{prefix}'" for prefix in sorted(sizes))
        what = f"'{member.location}' has several stacks of layers: {known}"
        hint = "write the slices of each under `modules: {NAME: {slices: …}}`"
        raise UsageError(what, where=where, hint=hint)
    return Stack(fitting[0], fitting[0] if len(stack_sizes(names.tensors)) > 1 else "")


def read_range(section: Section) -> Cut:
    """Read ``layer_range: [first, last]``, the last one excluded.

    Raises:
        UsageError: These are not two whole numbers, or no layer lies between them.
    """
    given, where = section.mapping["layer_range"], section.where("layer_range")
    whole = isinstance(given, list) and all(isinstance(one, int) and not isinstance(one, bool) for one in given)
    if not whole or len(given) != 2:
        hint = "[0, 8] are the layers 0 to 7"
        raise UsageError(f"'layer_range' must be two whole numbers, not {given!r}", where=where, hint=hint)
    first, last = (int(one) for one in given)
    if min(first, last) < 0:
        what = f"'layer_range' begins or ends below 0: {[first, last]}"
        raise UsageError(what, where=where, hint="layers are numbered from 0")
    if first >= last:
        what = f"'layer_range' {[first, last]} holds no layer: it ends where it begins, or before"
        raise UsageError(what, where=where, hint="[0, 8] are the layers 0 to 7")
    return Cut(first, last, where)


def checked_cut(member: Member, stack: Stack, frame: Frame) -> Cut:
    """Return the layers that a slice takes of a model, once it is known that the model has them.

    Raises:
        UsageError: It has fewer.
        MergeError: It cannot be opened.
    """
    assert member.cut is not None  # noqa: S101 - every source of a slice has one
    sizes = layer_stacks(filter(frame.wants, frame.shelf.outlines.of(member.whole).tensors))
    prefix = stack.prefix if stack.prefix in sizes or len(sizes) != 1 else next(iter(sizes))
    if prefix not in sizes:
        what = f"'{member.location}' has no layers '{prefix}', as the first model has"
        raise UsageError(what, where=member.where)
    size = sizes[prefix]
    if member.cut.last > size:
        what = f"'{member.location}' has {size} layers, and layer_range ends at {member.cut.last}"
        raise UsageError(what, where=member.cut.where, hint=f"the end is excluded: {size} at most")
    return member.cut._replace(whole=(member.cut.first, member.cut.last) == (0, size), prefix=prefix)


def stack_tensors(deciding: Sequence[Member], stack: Stack, frame: Frame) -> list[list[tuple[str, str]]]:
    """Return, slice by slice, the tensors that the output takes: name in the deciding model, and in the output.

    Raises:
        UsageError: The layers of the models do not fit together.
    """
    parts = [_part(member, frame) for member in deciding]
    found: list[list[tuple[str, str]]] = [[] for _ in parts]
    for output, (number, name) in stacked(parts, stack.option).items():
        if frame.wants(name):
            found[number].append((name, output))
    return found


def _part(member: Member, frame: Frame) -> Part:
    names, cut = frame.shelf.outlines.of(member.whole), member.cut
    assert cut is not None  # noqa: S101 - every source of a slice has one
    return Part(names.tensors, names.config, cut.text, cut.where, f"'{member.location}'")


def slice_tensors(request: Request, taken: Sequence[tuple[str, str]]) -> list[Tensor]:
    """Return the tensors of one slice, whose layers are numbered from 0."""
    cut: Any = request.first.cut
    firsts = [member.cut.first if member.cut else 0 for member in request.members]
    found = []
    for name, output in taken:
        place = block_of(name)
        if place is None or place[0] != cut.prefix or not cut.first <= place[1] < cut.last:
            found.append(Tensor(name, output, (name,) * len(firsts), None))
            continue
        within, length = place[1] - cut.first, cut.last - cut.first
        inputs = tuple(_renumbered(name, place, first + within) for first in firsts)
        depth = within / (length - 1) if length > 1 else 1.0
        found.append(Tensor(_renumbered(name, place, within), output, inputs, depth))
    return found


def _renumbered(name: str, place: tuple[str, int], number: int) -> str:
    prefix = f"{place[0]}." if place[0] else ""
    return f"{prefix}{number}{name[len(f'{prefix}{place[1]}') :]}"
