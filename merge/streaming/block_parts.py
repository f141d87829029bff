"""What of which tensor lies in a block: small neighbours are computed as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..planning.rows import Row
from .context import Block


class Part(NamedTuple):
    """What of one tensor lies in a block.

    Attributes:
        name: The tensor's.
        first: Position of its first element here in the tensor.
        start, stop: Where it lies in the block.
    """

    name: str
    first: int
    start: int
    stop: int


def block_parts(rows: Sequence[Row], counts: Sequence[int], block: Block) -> list[Part]:
    """Return the parts of a block, in their order.

    Args:
        rows: The plan's rows.
        counts: The number of elements of each row in the block's chunk, from the block's row on; empty where the
            chunk is of one row alone.
        block: The block.
    """
    if not counts:
        return [Part(rows[block.row].name, block.first, 0, block.length)]
    found, begin = [], 0
    for row, count in zip(rows[block.row :], counts, strict=False):
        start, stop = max(begin, block.offset), min(begin + count, block.offset + block.length)
        if start < stop:
            found.append(Part(row.name, start - begin, start - block.offset, stop - block.offset))
        begin += count
    return found
