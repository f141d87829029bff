"""Runs a plan: streams every row from the sources through the methods into a sink. Knows tensors, no method.

The work is cut into pieces that depend on the plan alone. A crew of workers takes them in order; each reads a
chunk, computes and writes it before the next, so memory does not grow with the checkpoint and nothing queues up.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import MergeError, UsageError
from .method import Reduction
from .plan import Plan
from .planning.rows import Row
from .program import Call, calls
from .streaming.crew import Crew
from .streaming.digests import OUTPUT, Digests
from .streaming.evaluation import SelectionKey, selection_key
from .streaming.journal import Journal, pack, unpack
from .streaming.pieces import Piece, cut, elements
from .streaming.reductions import Selection, Threshold
from .streaming.worker import Setting, Sink, Worker

SMALL_MERGE_BYTES = 64 * 2**20  # below this, a second thread costs more than it brings
GROUP_ELEMENTS = 64 * 2**20  # rows whose reductions run together, so that the second read finds a warm cache
CPU_CHUNK_BUDGET = 2**19  # elements in flight over all workers: 256 Ki each with two
SMALLEST_CHUNK = 2**16


@dataclass(frozen=True)
class RunSettings:
    """How to run a plan; none of it changes a byte of the result.

    Attributes:
        device: ``auto`` or ``cpu``: numpy. ``cuda``, ``cuda:N``: torch on that GPU.
        threads: Workers; by default one per core, up to eight.
        chunk_elements: Elements per chunk, a multiple of 65,536; by default so that buffers stay in the cache.
        allow_nonfinite: Merge infinities and NaN instead of refusing them.
        advance: Called with the number of bytes read and of tensors finished, from any thread.
    """

    device: str = "auto"
    threads: int | None = None
    chunk_elements: int | None = None
    allow_nonfinite: bool = False
    advance: Callable[[int, int], None] = field(default=lambda nbytes, tensors: None)


@dataclass(frozen=True)
class Outcome:
    """What a run established.

    Attributes:
        input_ids: Content id of every source, in the plan's order.
        output_id: Content id of the output.
        digests: Digest of every tensor.
        disagreements: Copied tensors in which the models differ.
        pieces_reused: Pieces that an earlier run had finished.
    """

    input_ids: list[str]
    output_id: str
    digests: Digests
    disagreements: list[str]
    pieces_reused: int = 0


def run(plan: Plan, sink: Sink, settings: RunSettings, journal: Journal | None = None) -> Outcome:
    """Run a plan.

    Args:
        plan: The plan.
        sink: Where the output's bytes go.
        settings: How to run it.
        journal: Pieces that are done already, and where finished ones are recorded.

    Raises:
        MergeError: Naming file and tensor.
    """
    return _Run(plan, sink, settings, journal).run()


class _Run:
    def __init__(self, plan: Plan, sink: Sink, settings: RunSettings, journal: Journal | None) -> None:
        self._plan, self._journal = plan, journal
        self._threads = settings.threads or _default_threads(plan)
        self._thresholds: dict[SelectionKey, Threshold] = {}
        self._stop = threading.Event()
        chunk = settings.chunk_elements or max(SMALLEST_CHUNK, CPU_CHUNK_BUDGET // self._threads)
        self._make_backend, chunk = _backend(settings, chunk)
        self._setting = Setting(
            plan.rows,
            plan.sources,
            sink,
            self._thresholds,
            chunk,
            settings.allow_nonfinite,
            self._stop,
            settings.advance,
        )
        self._digests = Digests(plan.rows, len(plan.sources))
        # Neighbours share their expression, so there are few distinct ones.
        distinct = {id(row.expression): row.expression for row in plan.rows if row.expression is not None}
        self._reducing = {
            key: found
            for key, expression in distinct.items()
            if (found := [call for call in calls(expression) if call.reductions])
        }

    def run(self) -> Outcome:
        pieces = list(enumerate(cut(self._plan.rows)))
        done = self._replay(pieces)
        with Crew(self._threads, self._worker, self._stop) as crew:
            for group in self._groups(pieces):
                todo = [(number, piece) for number, piece in group if number not in done]
                if todo:
                    if self._reducing:
                        self._reduce(crew, group)
                    self._process(crew, todo)
        return Outcome(
            [self._digests.source_id(number, source) for number, source in enumerate(self._plan.sources)],
            self._digests.output_id(),
            self._digests,
            list(_disagreements(self._plan, self._digests)),
            len(done),
        )

    def _worker(self) -> Worker:
        return Worker(self._setting, self._make_backend())

    def _replay(self, pieces: Sequence[tuple[int, Piece]]) -> set[int]:
        """Take over what the journal has."""
        if self._journal is None:
            return set()
        for number, piece in pieces:
            text = self._journal.pieces.get(number)
            if text is not None:
                self._digests.add(piece, unpack(text, self._digests.counts(piece)))
        for key, value in self._journal.thresholds.items():
            path, model, row = key.rsplit(":", 2)
            self._thresholds[path, int(model), int(row)] = Threshold(*value)
        return set(self._journal.pieces)

    def _groups(self, pieces: list[tuple[int, Piece]]) -> Iterator[list[tuple[int, Piece]]]:
        """Yield pieces whose reductions run together: everything at once unless they are per tensor."""
        scopes = {call.reductions[0].scope for found in self._reducing.values() for call in found}
        if scopes != {"tensor"}:
            yield pieces
            return
        group: list[tuple[int, Piece]] = []
        total = 0
        for number, piece in pieces:
            if total >= GROUP_ELEMENTS and piece[0].start == 0:
                yield group
                group, total = [], 0
            group.append((number, piece))
            total += sum(span.stop - span.start for span in piece)
        yield group

    def _reduce(self, crew: Crew[Worker], group: list[tuple[int, Piece]]) -> None:
        """Run the rounds of all reductions over the group until every threshold is known."""
        selections = self._selections(group)
        while any(selection.threshold is None for selection in selections.values()):
            open_ = {key: selection for key, selection in selections.items() if selection.threshold is None}
            concerned = [piece for _, piece in group if self._concerns(piece, open_)]
            for _, observed in crew.map(lambda worker, piece: worker.reduce(piece, selections), concerned):
                for key, value in observed.items():
                    selections[key].absorb(value)
            for selection in open_.values():
                selection.advance()
        for key, selection in selections.items():
            if selection.threshold is not None:
                self._thresholds[key] = selection.threshold
                if self._journal is not None:
                    self._journal.record("threshold", ":".join(map(str, key)), list(selection.threshold))

    def _calls_of(self, row: Row) -> Sequence[Call]:
        return self._reducing.get(id(row.expression), ())

    def _concerns(self, piece: Piece, open_: dict[SelectionKey, Selection]) -> bool:
        for span in piece:
            for call in self._calls_of(self._plan.rows[span.first]):
                if any(selection_key(call, model, span.first) in open_ for model in range(len(call.inputs))):
                    return True
        return False

    def _selections(self, group: list[tuple[int, Piece]]) -> dict[SelectionKey, Selection]:
        """Return a selection for every call, model and row (or checkpoint) of the group that is not known yet."""
        counts: dict[SelectionKey, int] = {}
        wanted: dict[SelectionKey, Reduction] = {}
        for number in sorted(
            {number for _, piece in group for span in piece for number in range(span.first, span.last)}
        ):
            row = self._plan.rows[number]
            for call in self._calls_of(row):
                for model in range(len(call.inputs)):
                    key = selection_key(call, model, number)
                    if wanted.setdefault(key, call.reductions[0]) != call.reductions[0]:
                        raise UsageError("a rank over the checkpoint needs one density for all layers")
                    counts[key] = counts.get(key, 0) + elements(row)
        bits = 64 if any(t.dtype in {"F32", "F64"} for row in self._plan.rows for t in row.tensors if t) else 32
        return {
            key: Selection(wanted[key].count(count), bits)
            for key, count in counts.items()
            if key not in self._thresholds
        }

    def _finished(self, piece: Piece) -> int:
        """Return how many output tensors end in this piece."""
        rows = self._plan.rows
        ends = [span for span in piece if span.last - span.first > 1 or span.stop == elements(rows[span.first])]
        return sum(span.last - span.first for span in ends if rows[span.first].expression is not None)

    def _process(self, crew: Crew[Worker], todo: list[tuple[int, Piece]]) -> None:
        for (number, piece), digests in crew.map(lambda worker, item: worker.process(item[1]), todo):
            self._digests.add(piece, digests)
            self._setting.advance(0, self._finished(piece))
            if self._journal is not None:
                self._journal.record("piece", number, pack(digests))


def _default_threads(plan: Plan) -> int:
    if plan.bytes_read < SMALL_MERGE_BYTES:
        return 1
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, 8)


def _backend(settings: RunSettings, chunk: int) -> tuple[Callable[[], Any], int]:
    """Return what makes a worker's backend, and the chunk size that suits it."""
    device = settings.device
    if device in {"auto", "cpu"}:
        from .streaming.numpy_backend import NumpyBackend

        return lambda: NumpyBackend(allow_nonfinite=settings.allow_nonfinite), chunk
    from .streaming.torch_backend import TorchBackend, check_device

    check_device(device)
    return lambda: TorchBackend(device), settings.chunk_elements or 4 * 2**20


def _disagreements(plan: Plan, digests: Digests) -> Iterator[str]:
    """Yield where models disagree in a tensor that is copied from one of them, or tied."""
    for row in plan.rows:
        if row.action == "copy" and row.reason != "kept" and digests.of(OUTPUT, row.name):
            found = {digests.of(source, tensor.name) for source, tensor in enumerate(row.tensors) if tensor}
            if len(found) > 1 and not row.reason.startswith("from the base"):
                yield f"'{row.name}' ({row.reason}) differs between the models; taken from {_origin(plan)}"
    for skip in plan.skips:
        if skip.twin and digests.of(skip.source, skip.name) != digests.of(skip.source, skip.twin):
            location = plan.sources[skip.source].location
            yield f"{location}: '{skip.name}' was left out as tied, but differs from '{skip.twin}'"


def _origin(plan: Plan) -> str:
    return plan.sources[plan.reference].location


__all__ = ["MergeError", "Outcome", "RunSettings", "run"]
