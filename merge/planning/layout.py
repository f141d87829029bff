"""Where every output tensor goes: files, offsets, index."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..dtypes import DTYPES
from ..recipe import Output
from .rows import Row

if TYPE_CHECKING:
    from ..checkpoints.address import OutputPath

FILE_SUFFIXES = (".st", ".safetensors")
Order = Mapping[str, int]


class Slot(NamedTuple):
    """One tensor of the output and the range of its bytes within its file's data."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class OutputFile:
    """One file of the output: its name and its tensors in the order of their data."""

    name: str
    slots: list[Slot]

    @property
    def nbytes(self) -> int:
        """Size of the data without the header."""
        return self.slots[-1].end if self.slots else 0


def is_single_file(path: OutputPath) -> bool:
    """Tell whether an output path names one file; anything else is a folder."""
    return path.suffix in FILE_SUFFIXES


def nbytes_of(dtype: str, shape: tuple[int, ...]) -> int:
    """Return the size of a tensor in bytes."""
    return DTYPES[dtype].bits * math.prod(shape) // 8


def by_alignment(rows: Sequence[Row]) -> Sequence[Row]:
    """Return rows in the order of the output: as they come, wider types first, so that no tensor is misaligned."""
    if len({row.dtype for row in rows}) <= 1:
        return rows
    return sorted(rows, key=lambda row: -DTYPES[row.dtype].bits)


def lay_out(
    rows: Sequence[Row], output: Output, weights_name: str, order: Order | None = None
) -> tuple[list[Row], list[OutputFile]]:
    """Distribute rows, given in output order, over files; return them with their places.

    Args:
        rows: Rows that have an output.
        output: Path and shard limit.
        weights_name: Name of the file, or stem of the shards, inside a folder.
        order: Place of every name among the tensors of one type, where some rows have scales.
    """
    single = output.path is not None and is_single_file(output.path)
    limit = None if single or output.path is None else output.max_shard_size
    placed, groups = _split_scaled(rows, limit, order) if order else _split(rows, limit)
    if single and output.path is not None:
        return placed, [OutputFile(output.path.name, groups[0])]
    stem = Path(weights_name).stem
    if len(groups) == 1:
        return placed, [OutputFile(f"{stem}.safetensors", groups[0])]
    files = [
        OutputFile(f"{stem}-{number:05d}-of-{len(groups):05d}.safetensors", slots)
        for number, slots in enumerate(groups, start=1)
    ]
    return placed, files


def _split(rows: Sequence[Row], limit: int | None) -> tuple[list[Row], list[list[Slot]]]:
    placed: list[Row] = []
    groups: list[list[Slot]] = [[]]
    position = 0
    for row in rows:
        stop = position + nbytes_of(row.dtype, row.shape)
        if limit is not None and groups[-1] and stop > limit:
            groups.append([])
            position, stop = 0, stop - position
        groups[-1].append(Slot(row.name, row.dtype, row.shape, position, stop))
        placed.append(Row(*row[:7], len(groups) - 1, position, row.asides))
        position = stop
    return placed, groups


def _split_scaled(rows: Sequence[Row], limit: int | None, order: Order) -> tuple[list[Row], list[list[Slot]]]:
    """Split rows of which some have scales: these go to the file of their weights, where their type belongs there."""
    groups: list[list[Row]] = [[]]
    size = 0
    for row in rows:
        own = sum(nbytes_of(dtype, shape) for _, dtype, shape in row.outputs)
        if limit is not None and groups[-1] and size + own > limit:
            groups.append([])
            size = 0
        groups[-1].append(row)
        size += own
    slots = [_slots(group, order) for group in groups]
    begins = [{slot.name: slot.begin for slot in each} for each in slots]
    placed = [_placed(row, file, begins[file]) for file, group in enumerate(groups) for row in group]
    return placed, slots


def _slots(group: Sequence[Row], order: Order) -> list[Slot]:
    """Return the tensors of one file: wider types first, then as the stored checkpoint has them."""
    outputs = [output for row in group for output in row.outputs]
    places = {name: order.get(name, len(order)) for name, _, _ in outputs}
    slots: list[Slot] = []
    for name, dtype, shape in sorted(outputs, key=lambda output: (-DTYPES[output[1]].bits, places[output[0]])):
        begin = slots[-1].end if slots else 0
        slots.append(Slot(name, dtype, shape, begin, begin + nbytes_of(dtype, shape)))
    return slots


def _placed(row: Row, file: int, begins: Mapping[str, int]) -> Row:
    scales = row.scales._replace(begin=begins[row.scales.name]) if row.scales else None
    return row._replace(file=file, begin=begins[row.name], scales=scales)
