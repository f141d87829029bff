"""Where every output tensor goes: files, offsets, index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..dtypes import DTYPES
from ..recipe import Output

FILE_SUFFIXES = (".st", ".safetensors")


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


def is_single_file(path: Path) -> bool:
    """Tell whether an output path names one file; anything else is a folder."""
    return path.suffix in FILE_SUFFIXES


def nbytes_of(dtype: str, shape: tuple[int, ...]) -> int:
    """Return the size of a tensor in bytes."""
    bits = DTYPES[dtype].bits
    for size in shape:
        bits *= size
    return bits // 8


def by_alignment(tensors: Sequence[tuple[str, str, tuple[int, ...]]]) -> list[int]:
    """Return the order of the output: the reference's, wider types first, so that no tensor is misaligned."""
    widths = [DTYPES[dtype].bits for _, dtype, _ in tensors]
    if len(set(widths)) <= 1:
        return list(range(len(tensors)))
    return sorted(range(len(tensors)), key=lambda number: -widths[number])


def lay_out(tensors: Sequence[tuple[str, str, tuple[int, ...]]], output: Output, weights_name: str) -> list[OutputFile]:
    """Distribute tensors, given in output order, over files.

    Args:
        tensors: Name, dtype and shape of each.
        output: Path and shard limit.
        weights_name: Name of the file, or stem of the shards, inside a folder.
    """
    single = output.path is not None and is_single_file(output.path)
    limit = None if single or output.path is None else output.max_shard_size
    groups = _split(tensors, limit)
    if single and output.path is not None:
        return [OutputFile(output.path.name, groups[0])]
    stem = Path(weights_name).stem
    if len(groups) == 1:
        return [OutputFile(f"{stem}.safetensors", groups[0])]
    return [
        OutputFile(f"{stem}-{number:05d}-of-{len(groups):05d}.safetensors", slots)
        for number, slots in enumerate(groups, start=1)
    ]


def _split(tensors: Sequence[tuple[str, str, tuple[int, ...]]], limit: int | None) -> list[list[Slot]]:
    groups: list[list[Slot]] = [[]]
    position = 0
    for name, dtype, shape in tensors:
        size = nbytes_of(dtype, shape)
        if limit is not None and groups[-1] and position + size > limit:
            groups.append([])
            position = 0
        groups[-1].append(Slot(name, dtype, shape, position, position + size))
        position += size
    return groups
