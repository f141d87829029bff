"""What a worker has in memory at once: consecutive elements of one tensor, or small tensors side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..checkpoints.files import Buffer
from ..content_id import digest
from ..planning.rows import Row
from .pieces import BLOCK_ELEMENTS, Span, band, elements, unit, widest


class Chunk(NamedTuple):
    """Consecutive elements of one row, or whole rows; `rows` has the number of elements of each."""

    row: int
    first: int
    length: int
    parts: Sequence[int]


def cut_chunks(span: Span, rows: Sequence[Row], chunk_elements: int) -> Iterator[Chunk]:
    """Cut a span into chunks that fit the buffers: pieces of one row, or as many whole small rows as fit.

    Args:
        span: The span.
        rows: The plan's rows.
        chunk_elements: 16-bit elements of a chunk; wider types get fewer.
    """
    limit = _limit(rows[span.first], chunk_elements)
    if span.last - span.first == 1:
        for start in range(span.start, span.stop, limit):
            yield Chunk(span.first, start, min(limit, span.stop - start), ())
        return
    parts: list[int] = []
    first, total = span.first, 0
    for number in range(span.first, span.last):
        count = elements(rows[number])
        if total + count > limit:
            yield Chunk(first, 0, total, parts)
            first, parts, total = number, [], 0
        parts.append(count)
        total += count
    yield Chunk(first, 0, total, parts)


def _limit(row: Row, chunk_elements: int) -> int:
    """Return the elements of a chunk: whole units, so many that the bytes are the same for every width."""
    blocks = chunk_elements * 2 // widest(row) // BLOCK_ELEMENTS
    step = max(unit(row), band(row))
    return max(1, max(1, blocks) * BLOCK_ELEMENTS // step) * step


def name_at(rows: Sequence[Row], chunk: Chunk, position: int, source: int | None = None) -> str:
    """Return the name of the tensor that holds an element of a chunk: in the output, or in a source."""
    number = chunk.row
    for count in chunk.parts:
        if position < count:
            break
        position -= count
        number += 1
    tensor = rows[number].tensors[source] if source is not None else None
    return tensor.name if tensor else rows[number].name


class RowHasher:
    """Hashes small whole rows that lie side by side in one buffer; same verbs as the block hasher."""

    def __init__(self) -> None:
        self._digests: list[bytes] = []

    def update(self, data: Buffer, *sizes: int) -> None:
        """Hash rows of so many bytes each."""
        start = 0
        for size in sizes:
            self._digests.append(digest(data[start : start + size]))
            start += size

    def finish(self) -> list[bytes]:
        """Return the digest of every row."""
        return self._digests


def part_bytes(chunk: Chunk, bits: int) -> list[int]:
    """Return the bytes of each row of a chunk; nothing for one row alone."""
    return [count * bits // 8 for count in chunk.parts]
