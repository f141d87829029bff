"""One worker: reads, converts, calls the methods, rounds, writes. It owns its buffers and shares nothing mutable."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..checkpoints.checkpoint import Source
from ..checkpoints.files import Buffer
from ..checkpoints.header import TensorInfo
from ..content_id import BlockHasher, digest
from ..dtypes import DTYPES
from ..errors import MergeError
from ..planning.rows import Row
from ..planning.tensor_rules import is_constant
from ..program import Input, calls
from .context import Block, ResultKey, Results, result_key
from .evaluation import Evaluator, Raws
from .narrowing import LARGEST
from .pieces import BLOCK_ELEMENTS, Piece, Span, band, elements, moves_bytes, unit, widest
from .reductions import Reducer
from .scaled_work import ScaledWork
from .sink import Sink
from .stopwatch import Stopwatch
from .ways import Ways

SpanDigests = list[list[bytes]]  # per source that the span reads, then the output, then its scales where it has some
Readers = Mapping[int, Callable[[TensorInfo, int, Buffer], None]]
_NO_READERS: Readers = {}


class Processed(NamedTuple):
    """A finished piece.

    Attributes:
        digests: The digests of its spans.
        records: What methods noted, by name of the tensor.
        shortages: The other ways that were resorted to, here or in a reduction before, where memory ran short.
        vanished: How many numbers became 0 in a type that cannot hold them, by the type.
    """

    digests: list[SpanDigests]
    records: dict[str, dict[str, Any]]
    shortages: list[str]
    vanished: dict[str, int]


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


class Chunk(NamedTuple):
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
        self._vanished: dict[str, int] = {}
        self._ways = Ways(backend, lambda own: Evaluator(own, setting.results, setting.seed, setting.sources))

    def process(self, piece: Piece) -> Processed:
        """Compute and write a piece; return the digests of what was read and written, and what methods noted.

        Raises:
            MergeError: Naming tensor and file, when reading, arithmetic or writing fails.
        """
        with self._setting.watch.working.timed(0):
            digests = [self._process_span(span) for span in piece]
        vanished, self._vanished = self._vanished, {}
        return Processed(digests, self._ways.taken_records(), self._ways.taken_shortages(), vanished)

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
        for chunk in self.chunks(span):
            raws = self.read_all(row, chunk, hashers=None)
            for block in evaluator.blocks(row, chunk.row, chunk.first, chunk.length, most):
                yield row, raws, block

    def chunks(self, span: Span) -> Iterator[Chunk]:
        """Cut a span into chunks that fit the buffers: pieces of one row, or as many whole small rows as fit."""
        rows = self._setting.rows
        limit = self._limit(rows[span.first])
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

    def _limit(self, row: Row) -> int:
        """Return the elements of a chunk: whole units, so many that the bytes are the same for every width."""
        blocks = self._setting.chunk_elements * 2 // widest(row) // BLOCK_ELEMENTS
        step = max(unit(row), band(row))
        return max(1, max(1, blocks) * BLOCK_ELEMENTS // step) * step

    def _process_span(self, span: Span) -> SpanDigests:
        row = self._setting.rows[span.first]
        if row.scales is not None:
            return ScaledWork(row, self._setting.sources, self).process(span)
        read = [source for source, tensor in enumerate(row.tensors) if tensor]
        single = span.last - span.first == 1
        hashers: dict[int, Any] = {source: BlockHasher() if single else _RowHasher() for source in (*read, -1)}
        for chunk in self.chunks(span):
            row = self._setting.rows[chunk.row]
            raws = self.read_all(row, chunk, hashers)
            if row.expression is not None:
                self.write(row, chunk, self.outcome(row, chunk, raws), hashers[-1])
        return [hashers[source].finish() for source in (*read, -1)]

    def read_all(
        self, row: Row, chunk: Chunk, hashers: Mapping[int, Any] | None, readers: Readers = _NO_READERS
    ) -> dict[int, Buffer]:
        """Read the chunk of every source into its buffer and hash it; ``readers`` say how, of sources of their own."""
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
            readers.get(source, self._setting.sources[source].read_into)(tensor, chunk.first * bits // 8, raw)
            total += size
            if hashers is not None:
                hashers[source].update(raw, *_part_bytes(chunk, bits))
            raws[source] = raw
        self._setting.advance(total if hashers is not None else 0, 0)
        return raws

    def outcome(self, row: Row, chunk: Chunk, raws: Mapping[int, Buffer]) -> Buffer:
        """Return the output bytes of a chunk, refusing what is not finite in the inputs or the outcome."""
        summed = self._ways.first.weighted_sum(row, chunk.row, raws)
        unseen = raws if summed is None else {key: raw for key, raw in raws.items() if key not in summed.checked}
        self.check_finite(unseen, row, chunk)
        return self._outcome(row, chunk, raws) if summed is None else summed.out

    def check_finite(self, raws: Mapping[int, Buffer], row: Row, chunk: Chunk) -> None:
        """Refuse infinities and NaN in what is merged or copied; masks may hold them, and unused tensors."""
        for source, raw in raws.items():
            self._check_finite(raw, row, chunk, source)

    def _check_finite(self, raw: Buffer, row: Row, chunk: Chunk, source: int) -> None:
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

    def _name_at(self, chunk: Chunk, position: int, source: int | None = None) -> str:
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

    def _outcome(self, row: Row, chunk: Chunk, raws: Mapping[int, Buffer]) -> Buffer:
        """Return the output bytes of a chunk."""
        if moves_bytes(row) and isinstance(row.expression, Input):
            return raws.get(row.expression.source, memoryview(b""))  # a longer one of another model is still read
        width = DTYPES[row.dtype].bits // 8
        out: Buffer = self._backend.raw("out", chunk.length * width)

        def compute(evaluator: Evaluator, most: int | None) -> int:
            blocks = evaluator.blocks(row, chunk.row, chunk.first, chunk.length, most)
            ends = ((block.offset * width, (block.offset + block.length) * width, block) for block in blocks)
            return sum(evaluator.fill(out[start:stop], row, raws, block) for start, stop, block in ends)

        if vanished := self._ways.run(compute):
            self._vanished[row.dtype] = self._vanished.get(row.dtype, 0) + vanished
        if not self._setting.allow_nonfinite:
            position = self._backend.first_nonfinite(out, row.dtype)
            if position is not None:
                raise self._overflow(self._name_at(chunk, position), row.dtype, out)
        return out

    def _overflow(self, name: str, dtype: str, out: Buffer) -> MergeError:
        count = self._backend.count_nonfinite(out, dtype)
        largest = f"{dtype} number{f', {LARGEST[dtype]}' if dtype in LARGEST else ''}"
        what = f"the result of tensor '{name}' is beyond the largest {largest} ({count:,} such in the part at hand)"
        wider = f"choose a wider --dtype, or --keep '{name}' takes it from the base"
        return MergeError(what, hint=f"{wider}; --allow-nonfinite writes infinity or NaN")

    def write(self, row: Row, chunk: Chunk, out: Buffer, hasher: Any) -> None:
        """Write the output bytes of a chunk and hash them."""
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


def _part_bytes(chunk: Chunk, bits: int) -> list[int]:
    return [count * bits // 8 for count in chunk.parts]
