"""One worker: reads, converts, calls the methods, rounds, writes. It owns its buffers and shares nothing mutable."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..checkpoints.checkpoint import Source
from ..checkpoints.files import Buffer
from ..content_id import BlockHasher, digest
from ..dtypes import DTYPES
from ..errors import MergeError
from ..planning.rows import Row
from ..planning.tensor_rules import is_constant
from ..program import Input, calls
from .context import Block, ResultKey, Results, result_key
from .evaluation import Evaluator, Raws
from .pieces import BLOCK_ELEMENTS, Piece, Span, elements, moves_bytes, unit, widest
from .reductions import Reducer
from .sink import Sink
from .stopwatch import Stopwatch
from .ways import Ways

SpanDigests = list[list[bytes]]  # per source that the span reads, then the output


class Processed(NamedTuple):
    """A finished piece.

    Attributes:
        digests: The digests of its spans.
        records: What methods noted, by name of the tensor.
        shortages: The other ways that were resorted to, here or in a reduction before, where memory ran short.
    """

    digests: list[SpanDigests]
    records: dict[str, dict[str, Any]]
    shortages: list[str]


class CancelledError(Exception):
    """Another worker failed or the user asked to stop."""


class Setting(NamedTuple):
    """What all workers of a run share, read only."""

    rows: Sequence[Row]
    sources: Sequence[Source]
    sink: Sink
    results: Results
    seed: int
    chunk_elements: int
    allow_nonfinite: bool
    stop: threading.Event
    advance: Callable[[int, int], None]
    watch: Stopwatch


class _Chunk(NamedTuple):
    """Consecutive elements of one row, or whole rows; `rows` has the number of elements of each."""

    row: int
    first: int
    length: int
    parts: Sequence[int]


class Worker:
    """Processes pieces one after the other.

    Args:
        setting: What the run shares.
        backend: This worker's own backend.
    """

    def __init__(self, setting: Setting, backend: Any) -> None:
        self._setting, self._backend = setting, backend
        self._ways = Ways(backend, lambda own: Evaluator(own, setting.results, setting.seed, setting.sources))

    def process(self, piece: Piece) -> Processed:
        """Compute and write a piece; return the digests of what was read and written, and what methods noted.

        Raises:
            MergeError: Naming tensor and file, when reading, arithmetic or writing fails.
        """
        with self._setting.watch.working.timed(0):
            digests = [self._process_span(span) for span in piece]
        return Processed(digests, self._ways.taken_records(), self._ways.taken_shortages())

    def reduce(self, piece: Piece, reducers: Mapping[ResultKey, Reducer]) -> dict[ResultKey, Any]:
        """Show this piece to every unfinished reducer; they all belong to one reduction of one call."""
        with self._setting.watch.working.timed(0):
            return self._ways.run(lambda evaluator, most: self._reduce(piece, reducers, evaluator, most))

    def _reduce(
        self, piece: Piece, reducers: Mapping[ResultKey, Reducer], evaluator: Evaluator, most: int | None
    ) -> dict[ResultKey, Any]:
        seen: dict[ResultKey, Any] = {}
        packed: dict[ResultKey, Any] = {}
        for span in piece:
            row = self._setting.rows[span.first]
            for call in calls(row.expression) if row.expression is not None else ():
                for reduction in call.reductions:
                    key = result_key(call, reduction, span.first)
                    if key in reducers and reducers[key].outcome is None:
                        own = seen.setdefault(key, reducers[key].empty())
                        for row, raws, block in self._blocks(span, evaluator, most):
                            evaluator.show(call, reduction, row, raws, block, reducers[key], own)
            done = [key for key in seen if key[2] == span.first]
            packed |= {key: reducers[key].pack(seen.pop(key)) for key in done}
        return packed | {key: reducers[key].pack(value) for key, value in seen.items()}

    def _blocks(self, span: Span, evaluator: Evaluator, most: int | None) -> Iterator[tuple[Row, Raws, Block]]:
        """Read a span chunk by chunk and yield its blocks."""
        row = self._setting.rows[span.first]
        for chunk in self._chunks(span):
            raws = self._read_all(row, chunk, hashers=None)
            for block in evaluator.blocks(row, chunk.row, chunk.first, chunk.length, most):
                yield row, raws, block

    def _chunks(self, span: Span) -> Iterator[_Chunk]:
        """Cut a span into chunks that fit the buffers: pieces of one row, or as many whole small rows as fit."""
        rows = self._setting.rows
        limit = self._limit(rows[span.first])
        if span.last - span.first == 1:
            for start in range(span.start, span.stop, limit):
                yield _Chunk(span.first, start, min(limit, span.stop - start), ())
            return
        parts: list[int] = []
        first, total = span.first, 0
        for number in range(span.first, span.last):
            count = elements(rows[number])
            if total + count > limit:
                yield _Chunk(first, 0, total, parts)
                first, parts, total = number, [], 0
            parts.append(count)
            total += count
        yield _Chunk(first, 0, total, parts)

    def _limit(self, row: Row) -> int:
        """Return the elements of a chunk: whole units, so many that the bytes are the same for every width."""
        blocks = self._setting.chunk_elements * 2 // widest(row) // BLOCK_ELEMENTS
        return max(1, max(1, blocks) * BLOCK_ELEMENTS // unit(row)) * unit(row)

    def _process_span(self, span: Span) -> SpanDigests:
        row = self._setting.rows[span.first]
        read = [source for source, tensor in enumerate(row.tensors) if tensor]
        single = span.last - span.first == 1
        hashers: dict[int, Any] = {source: BlockHasher() if single else _RowHasher() for source in (*read, -1)}
        for chunk in self._chunks(span):
            row = self._setting.rows[chunk.row]
            raws = self._read_all(row, chunk, hashers)
            if row.expression is not None:
                self._write(row, chunk, self._checked_outcome(row, chunk, raws), hashers[-1])
        return [hashers[source].finish() for source in (*read, -1)]

    def _read_all(self, row: Row, chunk: _Chunk, hashers: Mapping[int, Any] | None) -> dict[int, Buffer]:
        """Read the chunk of every source into its buffer and hash it."""
        if self._setting.stop.is_set():
            raise CancelledError
        raws = {}
        total = 0
        for source, tensor in enumerate(row.tensors):
            if tensor is None:
                continue
            bits = 8 if moves_bytes(row) else DTYPES[tensor.dtype].bits
            if moves_bytes(row) and chunk.first >= tensor.nbytes:
                continue  # copies from models that disagree in type: the shorter one is already through
            size = chunk.length * bits // 8
            size = min(size, tensor.nbytes - chunk.first) if moves_bytes(row) else size
            raw = self._backend.raw(source, size)
            self._setting.sources[source].read_into(tensor, chunk.first * bits // 8, raw)
            total += size
            if hashers is not None:
                hashers[source].update(raw, *_part_bytes(chunk, bits))
            raws[source] = raw
        self._setting.advance(total if hashers is not None else 0, 0)
        return raws

    def _checked_outcome(self, row: Row, chunk: _Chunk, raws: Mapping[int, Buffer]) -> Buffer:
        """Return the output bytes of a chunk, refusing what is not finite in the inputs or the outcome."""
        summed = self._ways.first.weighted_sum(row, chunk.row, raws)
        for source, raw in raws.items():
            if summed is None or source not in summed.checked:
                self._check_finite(raw, row, chunk, source)
        return self._outcome(row, chunk, raws) if summed is None else summed.out

    def _check_finite(self, raw: Buffer, row: Row, chunk: _Chunk, source: int) -> None:
        """Refuse infinities and NaN in what is merged or copied; masks may hold them, and unused tensors."""
        tensor = row.tensors[source]
        if self._setting.allow_nonfinite or tensor is None or row.expression is None:
            return
        if DTYPES[tensor.dtype].kind != "float" or (row.action == "copy" and not self._is_copied(row, source)):
            return
        step = DTYPES[tensor.dtype].bits // 8
        whole = raw[: len(raw) // step * step]
        position = self._backend.first_nonfinite(whole, tensor.dtype)
        if position is not None and not (row.action == "copy" and is_constant(row.name)):
            name = self._name_at(chunk, position, source)
            raise MergeError(
                f"tensor '{name}' holds an infinity or NaN",
                where=self._setting.sources[source].location,
                hint="--allow-nonfinite merges it anyway",
            )

    @staticmethod
    def _is_copied(row: Row, source: int) -> bool:
        return isinstance(row.expression, Input) and row.expression.source == source

    def _name_at(self, chunk: _Chunk, position: int, source: int | None = None) -> str:
        """Return the name of the tensor that holds this element of a chunk."""
        number = chunk.row
        for count in chunk.parts:
            if position < count:
                break
            position -= count
            number += 1
        row = self._setting.rows[number]
        tensor = row.tensors[source] if source is not None else None
        return tensor.name if tensor else row.name

    def _outcome(self, row: Row, chunk: _Chunk, raws: Mapping[int, Buffer]) -> Buffer:
        """Return the output bytes of a chunk."""
        if moves_bytes(row) and isinstance(row.expression, Input):
            return raws.get(row.expression.source, memoryview(b""))  # a longer one of another model is still read
        width = DTYPES[row.dtype].bits // 8
        out: Buffer = self._backend.raw("out", chunk.length * width)

        def compute(evaluator: Evaluator, most: int | None) -> None:
            for block in evaluator.blocks(row, chunk.row, chunk.first, chunk.length, most):
                evaluator.fill(out[block.offset * width : (block.offset + block.length) * width], row, raws, block)

        self._ways.run(compute)
        if not self._setting.allow_nonfinite:
            position = self._backend.first_nonfinite(out, row.dtype)
            if position is not None:
                raise self._overflow(self._name_at(chunk, position), row.dtype)
        return out

    @staticmethod
    def _overflow(name: str, dtype: str) -> MergeError:
        largest = f"the result of tensor '{name}' is beyond the largest {dtype} number"
        return MergeError(largest, hint="choose a wider --dtype, or --allow-nonfinite writes it as infinity or NaN")

    def _write(self, row: Row, chunk: _Chunk, out: Buffer, hasher: Any) -> None:
        bits = 8 if moves_bytes(row) else DTYPES[row.dtype].bits
        hasher.update(out, *_part_bytes(chunk, bits))
        began = self._setting.watch.writing.begin()
        self._setting.sink.write(row, chunk.first * bits // 8, out)
        self._setting.watch.writing.end(began, len(out))


class _RowHasher:
    """Hashes small whole rows that lie side by side in one buffer; same verbs as the block hasher."""

    def __init__(self) -> None:
        self._digests: list[bytes] = []

    def update(self, data: Buffer, *sizes: int) -> None:
        start = 0
        for size in sizes:
            self._digests.append(digest(data[start : start + size]))
            start += size

    def finish(self) -> list[bytes]:
        return self._digests


def _part_bytes(chunk: _Chunk, bits: int) -> list[int]:
    return [count * bits // 8 for count in chunk.parts]
