"""One worker: reads, converts, calls the methods, rounds, writes. It owns its buffers and shares nothing mutable."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..checkpoints.checkpoint import Source
from ..checkpoints.files import Buffer
from ..checkpoints.header import TensorInfo
from ..content_id import BlockHasher
from ..dtypes import DTYPES
from ..errors import MergeError
from ..planning.rows import Row
from ..planning.tensor_rules import is_constant
from ..program import Input, calls
from .block_parts import block_parts
from .chunks import Chunk, RowHasher, cut_chunks, name_at, part_bytes
from .context import Block, ResultKey, Results, result_key
from .evaluation import Evaluator, Raws
from .overflow import overflow_error
from .pieces import Piece, Span, moves_bytes
from .reductions import Reducer
from .rounder import Rounding
from .scaled_work import ScaledWork
from .sink import Sink
from .stopwatch import Stopwatch
from .subnormals import keep_subnormals
from .tallies import Tallies, Tally, absorb
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
        tallies: What rounding did, by the name of the tensor.
    """

    digests: list[SpanDigests]
    records: dict[str, dict[str, Any]]
    shortages: list[str]
    tallies: Tallies


class CancelledError(Exception):
    """Another worker failed or the user asked to stop."""


class Setting(NamedTuple):
    """What all workers of a run share, read only."""

    rows: Sequence[Row]
    sources: Sequence[Source]
    sink: Sink
    results: Results
    seed: int
    rounding: Rounding
    chunk_elements: int
    allow_nonfinite: bool
    stop: threading.Event
    advance: Callable[[int, int], None]
    watch: Stopwatch


class Worker:
    """Processes pieces one after the other.

    Args:
        setting: What the run shares.
        backend: This worker's own backend.
    """

    def __init__(self, setting: Setting, backend: Any) -> None:
        keep_subnormals()
        self._setting, self._backend = setting, backend
        self._tallies: dict[str, Tally] = {}
        shared = (setting.results, setting.seed, setting.sources, setting.rounding)
        self._ways = Ways(backend, lambda own: Evaluator(own, *shared))

    def process(self, piece: Piece) -> Processed:
        """Compute and write a piece; return the digests of what was read and written, and what methods noted.

        Raises:
            MergeError: Naming tensor and file, when reading, arithmetic or writing fails.
        """
        with self._setting.watch.working.timed(0):
            digests = [self._process_span(span) for span in piece]
        tallies, self._tallies = self._tallies, {}
        return Processed(digests, self._ways.taken_records(), self._ways.taken_shortages(), tallies)

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
        """Cut a span into chunks that fit the buffers."""
        return cut_chunks(span, self._setting.rows, self._setting.chunk_elements)

    def _process_span(self, span: Span) -> SpanDigests:
        row = self._setting.rows[span.first]
        if row.scales is not None:
            draws = self._setting.rounding.draws(row, row.name)
            return ScaledWork(row, self._setting.sources, self, draws).process(span)
        read = [source for source, tensor in enumerate(row.tensors) if tensor]
        single = span.last - span.first == 1
        hashers: dict[int, Any] = {source: BlockHasher() if single else RowHasher() for source in (*read, -1)}
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
                hashers[source].update(raw, *part_bytes(chunk, bits))
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
            name = name_at(self._setting.rows, chunk, position, source)
            raise MergeError(
                f"tensor '{name}' holds an infinity or NaN",
                where=self._setting.sources[source].location,
                hint="--allow-nonfinite merges it anyway",
            )

    @staticmethod
    def _is_copied(row: Row, source: int) -> bool:
        return isinstance(row.expression, Input) and row.expression.source == source

    def _outcome(self, row: Row, chunk: Chunk, raws: Mapping[int, Buffer]) -> Buffer:
        """Return the output bytes of a chunk."""
        if moves_bytes(row) and isinstance(row.expression, Input):
            return raws.get(row.expression.source, memoryview(b""))  # a longer one of another model is still read
        width = DTYPES[row.dtype].bits // 8
        out: Buffer = self._backend.raw("out", chunk.length * width)

        def compute(evaluator: Evaluator, most: int | None) -> Tallies:
            found: dict[str, Tally] = {}
            divides = evaluator.rounder.divides(row)
            for block in evaluator.blocks(row, chunk.row, chunk.first, chunk.length, most):
                parts = block_parts(self._setting.rows, chunk.parts, block) if divides else ()
                own = out[block.offset * width : (block.offset + block.length) * width]
                absorb(found, evaluator.fill(own, row, raws, block, parts))
            return found

        absorb(self._tallies, self._ways.run(compute))
        if not self._setting.allow_nonfinite:
            position = self._backend.first_nonfinite(out, row.dtype)
            if position is not None:
                raise self._overflow(row, chunk, raws, out, position)
        return out

    def _overflow(self, row: Row, chunk: Chunk, raws: Mapping[int, Buffer], out: Buffer, position: int) -> MergeError:
        """Return what is said of an outcome that is not finite; what it was before rounding is computed again."""

        def largest(evaluator: Evaluator, most: int | None) -> float:
            blocks = evaluator.blocks(row, chunk.row, chunk.first, chunk.length, most)
            return max(evaluator.largest(row, raws, block) for block in blocks)

        count = self._backend.count_nonfinite(out, row.dtype)
        return overflow_error(name_at(self._setting.rows, chunk, position), row.dtype, count, self._ways.run(largest))

    def write(self, row: Row, chunk: Chunk, out: Buffer, hasher: Any) -> None:
        """Write the output bytes of a chunk and hash them."""
        bits = 8 if moves_bytes(row) else DTYPES[row.dtype].bits
        hasher.update(out, *part_bytes(chunk, bits))
        began = self._setting.watch.writing.begin()
        self._setting.sink.write(row, chunk.first * bits // 8, out)
        self._setting.watch.writing.end(began, len(out))
