"""Gathers the digests of pieces into one digest per tensor and one content id per checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..checkpoints.checkpoint import Source
from ..checkpoints.derived import TensorKey
from ..checkpoints.header import TensorInfo
from ..content_id import BLOCK_BYTES, checkpoint_id, tensor_digest
from ..dtypes import DTYPES
from ..planning.layout import nbytes_of
from ..planning.rows import Row
from .pieces import Piece, Span, moves_bytes
from .worker import SpanDigests

OUTPUT, SCALES = -1, -2


class Digests:
    """The digests of every tensor read and written so far.

    Args:
        rows: The plan's rows.
        count: Number of sources.
        same: Tensors that were read under another source, and as what.
    """

    def __init__(self, rows: Sequence[Row], count: int, same: Mapping[TensorKey, TensorKey] | None = None) -> None:
        self._rows, self._same = rows, same or {}
        self._whole: dict[int, dict[str, bytes]] = {source: {} for source in (*range(count), OUTPUT)}
        self._blocks: dict[tuple[int, str], dict[int, bytes]] = {}

    def add(self, piece: Piece, digests: list[SpanDigests]) -> None:
        """Take the digests of a finished piece."""
        for span, lists in zip(piece, digests, strict=True):
            for source, found in zip(self._parts(span), lists, strict=True):
                if span.last - span.first == 1:
                    self._add_blocks(span, source, found)
                else:
                    self._whole[source].update(zip(self._names(span, source), found, strict=True))

    def _parts(self, span: Span) -> list[int]:
        """Return the sources that a span reads, and what it writes."""
        row = self._rows[span.first]
        read = [source for source, tensor in enumerate(row.tensors) if tensor]
        return [*read, OUTPUT, SCALES] if row.scales else [*read, OUTPUT]

    def _names(self, span: Span, source: int) -> list[str]:
        rows = self._rows[span.first : span.last]
        if source == SCALES:
            return [row.scales.name for row in rows if row.scales]
        return [row.name for row in rows] if source == OUTPUT else [row.tensors[source].name for row in rows]  # type: ignore[union-attr]

    def _add_blocks(self, span: Span, source: int, found: list[bytes]) -> None:
        row = self._rows[span.first]
        first = span.start * _bits(row, source) // 8 // BLOCK_BYTES
        name, owner = self._names(span, source)[0], OUTPUT if source == SCALES else source
        blocks = self._blocks.setdefault((owner, name), {})
        blocks.update(enumerate(found, start=first))

    def counts(self, piece: Piece) -> list[list[int]]:
        """Return how many digests every source of every span has, for reading a journal."""
        return [[self._count(span, source) for source in self._parts(span)] for span in piece]

    def _count(self, span: Span, source: int) -> int:
        row = self._rows[span.first]
        if source == SCALES and row.scales is not None:
            return -(-nbytes_of(row.scales.dtype, row.scales.shape) // BLOCK_BYTES)
        if span.last - span.first > 1:
            return span.last - span.first
        if source == OUTPUT and row.expression is None:
            return 0
        nbytes = (span.stop - span.start) * _bits(row, source) // 8
        tensor = _tensor(row, source)
        if moves_bytes(row) and tensor is not None:
            nbytes = max(0, min(nbytes, tensor.nbytes - span.start))
        return -(-nbytes // BLOCK_BYTES)

    def of(self, source: int, name: str) -> bytes:
        """Return the digest of one tensor; tensors without elements have the digest of nothing."""
        known = self._whole[source].get(name)
        if known is None and (source, name) in self._same:
            known = self._whole[source][name] = self.of(*self._same[source, name])
        if known is None:
            blocks = self._blocks.get((source, name), {})
            known = self._whole[source][name] = tensor_digest([blocks[number] for number in sorted(blocks)])
        return known

    def source_id(self, source: int, opened: Source) -> str:
        """Return the content id of an input, all of whose tensors have been read."""
        tensors = opened.tensors.values()
        return checkpoint_id(tensors, self._all(source, [tensor.name for tensor in tensors]))

    def _all(self, source: int, names: Iterable[str]) -> Mapping[str, bytes]:
        """Return the digests of a source with those of large tensors combined."""
        whole = self._whole[source]
        for name in names:
            if name not in whole:
                self.of(source, name)
        return whole

    def output_id(self) -> str:
        """Return the content id of the output."""
        tensors = [TensorInfo(*output, 0, 0, 0) for row in self._rows for output in row.outputs]
        return checkpoint_id(tensors, self._all(OUTPUT, [tensor.name for tensor in tensors]))


def _tensor(row: Row, source: int) -> TensorInfo | None:
    if source != OUTPUT:
        return row.tensors[source]
    return row.tensors[row.expression.source] if moves_bytes(row) and row.expression is not None else None  # type: ignore[union-attr]


def _bits(row: Row, source: int) -> int:
    if moves_bytes(row):
        return 8
    tensor = row.tensors[source] if source >= 0 else None
    return DTYPES[tensor.dtype if tensor else row.dtype].bits
