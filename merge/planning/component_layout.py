"""Where the tensors of an output of several components go: one file, or shards, a component, each in its folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from ..checkpoints.components.part import SAFETY_CHECKER, Part, library_of, part_of, parts_of
from ..checkpoints.derived import whole
from ..errors import MergeError, UsageError
from ..recipe import Output
from .layout import OutputFile, is_single_file
from .rows import Row
from .tensor_rules import is_of_checker

Laid = tuple[list[Row], list[OutputFile]]


class LayOut(Protocol):
    """Distributes the rows of one component."""

    def __call__(self, rows: Sequence[Row], *, weights_name: str) -> Laid:
        """Return them with their places in files that are named so."""


def lay_out_components(rows: Sequence[Row], parts: Sequence[Part], lay_out: LayOut) -> Laid:
    """Distribute rows over the files of the components that they belong to; return them with their places.

    Args:
        rows: Rows that have an output, in its order.
        parts: The components.
        lay_out: Distributes the rows of one of them.

    Raises:
        MergeError: A tensor is of no component, or a component has none.
    """
    own: dict[str, list[Row]] = {part.folder: [] for part in parts}
    for row in rows:
        part = part_of(row.name, parts)
        if part is None:
            what = f"tensor '{row.name}' belongs to no component of the output: {_listed(parts)}"
            raise MergeError(what, hint="--missing base or skip leaves such tensors out")
        own[part.folder].append(row)
    placed: list[Row] = []
    files: list[OutputFile] = []
    for part in parts:
        if not own[part.folder]:
            what = f"no tensor of the component {_called(part)} would be in the output, which then does not load"
            raise MergeError(what, hint="--missing base keeps it")
        part_rows, part_files = lay_out(own[part.folder], weights_name=part.weights_name)
        placed += [row._replace(file=row.file + len(files)) for row in part_rows]
        files += [_within(file, part) for file in part_files]
    return placed, files


def _within(file: OutputFile, part: Part) -> OutputFile:
    slots = [slot._replace(name=slot.name.removeprefix(part.prefix)) for slot in file.slots]
    return OutputFile(f"{part.folder}/{file.name}" if part.folder else file.name, slots)


def components_for(reference: Any, output: Output) -> Sequence[Part]:
    """Return the components that an output is written as; nothing where it is one model, or stays in memory.

    Raises:
        UsageError: They would go into one file.
    """
    parts = parts_of(reference)
    fronts = tuple(part.prefix for part in parts if part.prefix)
    if not fronts or output.path is None or not any(name.startswith(fronts) for name in reference.tensors):
        return ()  # one model, or under the names of a single file already
    if is_single_file(output.path):
        largest = max(parts, key=_nbytes)
        one = largest.folder or largest.weights_name
        location = whole(reference).location
        what = f"{location} is a folder of components ({_listed(parts)}), which no single file can be"
        hint = f"name a folder with -o; one component alone is a model of its own: {location}/{one}"
        raise UsageError(what, where=str(output.path), hint=hint)
    return parts


def component_notes(reference: Any, rows: Iterable[Row]) -> list[str]:
    """Return a note on what is left as the reference has it."""
    if library_of(reference) is None or not any(is_of_checker(row.name) for row in rows):
        return []
    where = whole(reference).location
    return [f"the {SAFETY_CHECKER} is taken as {where} has it: it is no part of what the model can do"]


def _nbytes(part: Part) -> int:
    return sum(tensor.nbytes for tensor in part.source.tensors.values())


def _listed(parts: Sequence[Part]) -> str:
    return ", ".join(map(_called, parts))


def _called(part: Part) -> str:
    return part.folder or part.weights_name
