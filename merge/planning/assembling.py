"""Stacks and joins in a bound recipe: every leaf model becomes the part of it that the outcome takes.

Going up, each call gets the names of its own outcome; those of a method are its base's or first model's, those of a
stack are counted anew. Going down, each leaf learns which of its tensors end up under which name of the output. Methods
between the two know nothing of it: tensor by tensor, they see models that have the same names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ..checkpoints.checkpoint import Source
from ..checkpoints.part import PartSource
from ..errors import MergeError, UsageError, some_of
from ..recipe import Policy
from .bound import Bound, BoundCall, leaves
from .depth import block_of
from .names import Model, match_names
from .patterns import compile_pattern, within
from .renaming import renamed
from .rows import Skip
from .stack_part import Part, Tensors
from .stacks import Taken, joined, stacked
from .tensor_rules import is_buffer

Wanted = Mapping[str, str]  # name in a call's own outcome ▸ name in the output


class Names(NamedTuple):
    """What matching needs of the model that decides the names of a call."""

    tensors: Tensors
    config: Mapping[str, Any]


@dataclass
class Assembled:
    """A bound recipe whose leaves are parts of models.

    Attributes:
        bound: The recipe; its leaves are positions of parts, and its stacks know where every tensor comes from.
        skips: Tensors of the models that no part has.
        notes: What was resolved in matching names.
    """

    bound: BoundCall
    skips: list[Skip] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def assemble(bound: BoundCall, opened: list[Source], missing: Policy = "error") -> Assembled:
    """Turn the leaves of a recipe into parts, appended to the sources.

    Args:
        bound: The recipe.
        opened: The sources.
        missing: What becomes of tensors that the model lacks which decides the names of a part.

    Raises:
        UsageError: Layers that a model does not have, or that do not fit together.
        MergeError: Models that are merged within a part do not have the same tensors.
    """
    work = _Assembly(opened, missing)
    names = work.names(bound)
    assembled = Assembled(work.cut(bound, {name: name for name in names.tensors}), notes=work.notes)
    assembled.skips = list(work.left_over(bound))
    return assembled


class _Assembly:
    def __init__(self, opened: list[Source], missing: Policy) -> None:
        self._opened, self._leaves_out = opened, missing in ("skip", "base")
        self._names: dict[int, Names] = {}
        self._taken: dict[int, dict[str, Taken]] = {}
        self._done: dict[tuple[int, int], Bound] = {}
        self._kept: list[object] = []  # what is known by its identity must not be given back
        self.notes: list[str] = []
        self.used: dict[int, set[str]] = {}

    def names(self, bound: Bound) -> Names:
        """Return the tensors of an outcome under its own names."""
        if isinstance(bound, int):
            return Names(self._opened[bound].tensors, self._opened[bound].config)
        if id(bound) not in self._names:
            self._kept.append(bound)
            self._names[id(bound)] = self._assembled_names(bound) if bound.method.assembles else self._first(bound)
        return self._names[id(bound)]

    def _first(self, bound: BoundCall) -> Names:
        return self.names(bound.base if bound.base is not None else bound.inputs[0])

    def _assembled_names(self, bound: BoundCall) -> Names:
        parts = [self.names(child) for child in bound.inputs]
        taken = self._taken[id(bound)] = self._take(bound, parts)
        return Names({name: parts[part].tensors[inner] for name, (part, inner) in taken.items()}, parts[0].config)

    def _take(self, bound: BoundCall, parts: Sequence[Names]) -> dict[str, Taken]:
        wheres = [where or bound.where for where in bound.wheres]
        if bound.method.name == "stack":
            ranges = _values(bound, "layer_range", ":")
            layers = [
                Part(names.tensors, names.config, given, where, self._called(child))
                for names, given, where, child in zip(parts, ranges, wheres, bound.inputs, strict=True)
            ]
            return stacked(layers, str(bound.options.get("stack", "")))
        patterns = _values(bound, "match", "*")
        tests = [
            within(compile_pattern(pattern, where), names.tensors)
            for pattern, where, names in zip(patterns, wheres, parts, strict=True)
        ]
        for names, test, pattern, where in zip(parts, tests, patterns, wheres, strict=True):
            if not any(test(name) for name in names.tensors):
                raise UsageError(f"the pattern '{pattern}' matches no tensor of its model", where=where)
        return joined([names.tensors for names in parts], tests)

    def _called(self, bound: Bound) -> str:
        """Return what a part is called in messages."""
        return self._opened[bound].location if isinstance(bound, int) else f"the nested {bound.method.name}"

    def cut(self, bound: BoundCall, wanted: Wanted) -> BoundCall:
        """Return a call whose leaves are parts; `wanted` has the names in its outcome that are used."""
        key = id(bound), id(wanted)
        if key not in self._done:
            self._kept += [bound, wanted]
            self._done[key] = self._cut_parts(bound, wanted) if bound.method.assembles else self._cut(bound, wanted)
        found = self._done[key]
        assert isinstance(found, BoundCall)  # noqa: S101 - calls become calls
        return found

    def _cut(self, bound: BoundCall, wanted: Wanted) -> BoundCall:
        names = self.names(bound)
        wheres = (where or bound.where for where in bound.wheres or (None,) * len(bound.inputs))
        inputs = tuple(
            self._child(child, names, wanted, where) for child, where in zip(bound.inputs, wheres, strict=True)
        )
        witnesses = tuple(self._child(child, names, wanted, bound.where) for child in bound.witnesses)
        base = self._child(bound.base, names, wanted, bound.where) if bound.base is not None else None
        return replace(bound, inputs=inputs, base=base, witnesses=witnesses)

    def _cut_parts(self, bound: BoundCall, wanted: Wanted) -> BoundCall:
        taken = self._taken[id(bound)]
        inputs = []
        for number, child in enumerate(bound.inputs):
            own = {inner: wanted[name] for name, (part, inner) in taken.items() if part == number and name in wanted}
            inputs.append(self._child(child, self.names(child), own, bound.where))
        parts = tuple(self.names(child).tensors for child in bound.inputs)
        return replace(bound, inputs=tuple(inputs), takes=taken, part_tensors=parts)

    def _child(self, bound: Bound, names: Names, wanted: Wanted, where: str | None) -> Bound:
        if isinstance(bound, BoundCall):
            return self._cut_nested(bound, names, wanted)
        key = bound, id(wanted)
        if key not in self._done:
            self._kept.append(wanted)
            self._done[key] = self._cut_leaf(bound, names, wanted, where)
        return self._done[key]

    def _cut_nested(self, bound: BoundCall, names: Names, wanted: Wanted) -> BoundCall:
        """Return a nested call, whose outcome may have other names than the model beside it."""
        own = self.names(bound)
        if own.tensors.keys() == names.tensors.keys():
            return self.cut(bound, wanted)
        own_named = Names({name: info._replace(name=name) for name, info in own.tensors.items()}, own.config)
        matched = self._matched(own_named, names, self._called(bound), bound.where)
        same = {name: info.name for name, info in matched.items()}
        return renamed(bound, own.tensors, same, wanted, self.cut)

    def _cut_leaf(self, position: int, names: Names, wanted: Wanted, where: str | None) -> int:
        source = self._opened[position]
        matched = source.tensors is names.tensors
        tensors = names.tensors if matched else self._matched(source, names, source.location, where)
        tensors = {output: tensors[name] for name, output in wanted.items() if name in tensors}
        self.used.setdefault(position, set()).update(info.name for info in tensors.values())
        self._opened.append(PartSource(source, tensors, f"{source.location} ({_extent(tensors)})"))
        return len(self._opened) - 1

    def _matched(self, model: Model, names: Names, called: str, where: str | None) -> Tensors:
        """Return a model's tensors under the names of the model beside it that decides them."""
        matched = match_names(names, model)
        self.notes += [f"{called} {note}" for note in matched.notes]
        extra = [name for name in matched.extra if not is_buffer(model.tensors[name])]
        if extra and not self._leaves_out:
            shown = some_of((f"'{name}'" for name in extra), 1)
            what = f"{called} has {shown}, which the base or first model lacks"
            hint = "models that are merged need the same layers and tensors; --missing skip leaves out the others"
            raise MergeError(what, where=where, hint=hint)
        return matched.tensors

    def left_over(self, bound: BoundCall) -> Iterator[Skip]:
        """Yield the tensors of the models that are in no part; a donor of files beside the weights has none to give."""
        for position in dict.fromkeys(leaves(bound)):
            if position not in self.used:
                continue
            for name in self._opened[position].tensors:
                if name not in self.used[position]:
                    yield Skip(position, name, "in no part that is taken")


def _values(bound: BoundCall, option: str, default: str) -> list[str]:
    """Return an option of all parts."""
    given: Any = bound.options.get(option) or (None,) * len(bound.inputs)
    return [str(default if value is None else value) for value in given]


def _extent(tensors: Tensors) -> str:
    """Return what a part takes of its model, in words."""
    places = {place for info in tensors.values() if (place := block_of(info.name))}
    if len({stack for stack, _ in places}) != 1:
        return "1 tensor" if len(tensors) == 1 else f"{len(tensors)} tensors"
    numbers = sorted(number for _, number in places)
    return f"layer {numbers[0]}" if len(numbers) == 1 else f"layers {numbers[0]} to {numbers[-1]}"
