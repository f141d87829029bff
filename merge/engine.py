"""Runs a plan: streams every row from the sources through the methods into a sink. Knows tensors, no method.

The work is cut into pieces that depend on the plan alone. A crew of workers takes them in order; each reads a
chunk, computes and writes it before the next, so memory does not grow with the checkpoint and nothing queues up.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

from .checkpoints.derived import whole
from .checkpoints.expected import announce
from .errors import UsageError
from .plan import Plan
from .planning.rows import Row
from .streaming.context import ResultKey
from .streaming.crew import Crew
from .streaming.digests import Digests
from .streaming.journal import Journal, pack, unpack
from .streaming.pieces import BLOCK_ELEMENTS, Piece, cut, elements, portion
from .streaming.rounds import Rounds
from .streaming.worker import Setting, Sink, Worker

SMALL_MERGE_BYTES = 64 * 2**20  # below this, a second thread costs more than it brings
CPU_CHUNK_BUDGET = 2**20  # 16-bit elements in flight per input over all workers: 1 MiB each with two, near the cache


@dataclass(frozen=True)
class RunSettings:
    """How to run a plan; none of it changes a byte of the result.

    Attributes:
        device: ``auto`` or ``cpu``: numpy. ``cuda``, ``cuda:N``: torch on that GPU.
        threads: Workers; by default one per core, up to eight.
        chunk_elements: Elements per chunk, a multiple of 65,536; wider types get fewer. By default so that calls are
            few and buffers small.
        allow_nonfinite: Merge infinities and NaN instead of refusing them.
        advance: Called with the number of bytes read and of tensors finished, from any thread.
    """

    device: str = "auto"
    threads: int | None = None
    chunk_elements: int | None = None
    allow_nonfinite: bool = False
    advance: Callable[[int, int], None] = field(default=lambda nbytes, tensors: None)

    def __post_init__(self) -> None:
        if self.chunk_elements is not None and (self.chunk_elements <= 0 or self.chunk_elements % BLOCK_ELEMENTS):
            raise UsageError(f"chunk_elements must be a multiple of {BLOCK_ELEMENTS:,}, not {self.chunk_elements:,}")


@dataclass(frozen=True)
class Outcome:
    """What a run established.

    Attributes:
        input_ids: Content id of every source, in the plan's order.
        output_id: Content id of the output.
        digests: Digest of every tensor.
        disagreements: Copied tensors in which the models differ.
        pieces_reused: Pieces that an earlier run had finished.
        remarks: What the methods found worth saying about the models.
        records: What they noted of single tensors, by name: how a matrix was regressed.
    """

    input_ids: list[str]
    output_id: str
    digests: Digests
    disagreements: list[str]
    pieces_reused: int = 0
    remarks: list[str] = field(default_factory=list)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)


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
        self._results: dict[ResultKey, Any] = {}
        self._stop = threading.Event()
        chunk = settings.chunk_elements or _chunk_for(self._threads)
        self._make_backend, chunk = _backend(settings, chunk, matrices=_has_matrices(plan))
        self._setting = Setting(
            plan.rows,
            plan.sources,
            sink,
            self._results,
            plan.recipe.seed,
            chunk,
            settings.allow_nonfinite,
            self._stop,
            settings.advance,
        )
        self._digests = Digests(plan.rows, len(plan.sources), plan.same)
        self._records: dict[str, dict[str, Any]] = {}
        self._rounds = Rounds(plan.rows, self._results, journal)

    def run(self) -> Outcome:
        self._plan.refuse_pending()
        pieces = list(enumerate(cut(self._plan.rows)))
        done = self._replay(pieces)
        self._announce([piece for number, piece in pieces if number not in done or self._rounds.read_again])
        with _one_thread_per_matrix(self._plan), Crew(self._threads, self._worker, self._stop) as crew:
            for group in self._rounds.groups(pieces):
                todo = [(number, piece) for number, piece in group if number not in done]
                if todo:
                    self._rounds.run(crew, group)
                    self._process(crew, todo)
        return Outcome(
            [self._digests.source_id(number, source) for number, source in enumerate(self._plan.sources)],
            self._digests.output_id(),
            self._digests,
            list(_disagreements(self._plan, self._digests)),
            len(done),
            self._rounds.remarks,
            self._records,
        )

    def _announce(self, pieces: Sequence[Piece]) -> None:
        """Tell sources elsewhere what will be read, in order."""
        rows = [row for piece in pieces for span in piece for row in self._plan.rows[span.first : span.last]]
        announce(rows, self._plan.sources, again=self._rounds.read_again)

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
        for key, value in self._journal.results.items():
            path, name, row = key.rsplit(":", 2)
            self._results[path, name, int(row)] = value
        self._records |= self._journal.records
        return set(self._journal.pieces)

    def _finished(self, piece: Piece) -> int:
        """Return how many output tensors end in this piece."""
        rows = self._plan.rows
        ends = [span for span in piece if span.last - span.first > 1 or span.stop == elements(rows[span.first])]
        return sum(span.last - span.first for span in ends if rows[span.first].expression is not None)

    def _process(self, crew: Crew[Worker], todo: list[tuple[int, Piece]]) -> None:
        for (number, piece), done in crew.map(lambda worker, item: worker.process(item[1]), todo):
            self._digests.add(piece, done.digests)
            self._records |= done.records
            self._setting.advance(0, self._finished(piece))
            if self._journal is not None:
                for name, facts in done.records.items():
                    self._journal.record("record", name, facts)
                self._journal.record("piece", number, pack(done.digests))


def _chunk_for(threads: int) -> int:
    """Return a whole number of blocks that keeps all workers' buffers together in bounds."""
    return max(1, CPU_CHUNK_BUDGET // threads // BLOCK_ELEMENTS) * BLOCK_ELEMENTS


def _default_threads(plan: Plan) -> int:
    if plan.bytes_read < SMALL_MERGE_BYTES:
        return 1
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, 8)


def _one_thread_per_matrix(plan: Plan) -> AbstractContextManager[Any]:
    """Return a context in which a decomposition does not depend on the number of cores; matrices run side by side."""
    if not _has_matrices(plan):
        return nullcontext()
    from threadpoolctl import threadpool_limits

    return cast(AbstractContextManager[Any], threadpool_limits(1, user_api="blas"))


def _has_matrices(plan: Plan) -> bool:
    distinct = {id(row.expression): row for row in plan.rows}
    return any(portion(row) == "whole" for row in distinct.values())


def _backend(settings: RunSettings, chunk: int, *, matrices: bool) -> tuple[Callable[[], Any], int]:
    """Return what makes a worker's backend, and the chunk size that suits it.

    With the device ``auto``, methods that decompose matrices run on a GPU where there is one.
    """
    device = settings.device
    if device == "auto" and matrices:
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device in {"auto", "cpu"}:
        from .streaming.cpu_backend import CpuBackend

        return lambda: CpuBackend(allow_nonfinite=settings.allow_nonfinite), chunk
    from .streaming.torch_backend import TorchBackend, check_device

    check_device(device)
    return lambda: TorchBackend(device), settings.chunk_elements or 4 * 2**20


def _disagreements(plan: Plan, digests: Digests) -> Iterator[str]:
    """Yield where models disagree in tensors that are copied from one of them, or tied."""
    differing = [row.name for row in plan.rows if _may_differ(row.reason, row.action) and _differs(row, digests)]
    if differing:
        shown = f"'{differing[0]}'" + (f" and {len(differing) - 1} more" if len(differing) > 1 else "")
        yield f"copied tensors differ between the models: {shown}; taken from {_origin(plan)}"
    for skip in plan.skips:
        if skip.twin and digests.of(skip.source, skip.name) != digests.of(skip.source, skip.twin):
            location = plan.sources[skip.source].location
            yield f"{location}: '{skip.name}' was left out as tied, but differs from '{skip.twin}'"


def _may_differ(reason: str, action: str) -> bool:
    """Tell whether a copied tensor was expected to be the same in all models."""
    return action == "copy" and reason != "kept" and not reason.startswith("from the base")


def _differs(row: Row, digests: Digests) -> bool:
    return len({digests.of(source, tensor.name) for source, tensor in enumerate(row.tensors) if tensor}) > 1


def _origin(plan: Plan) -> str:
    return whole(plan.sources[plan.reference]).location
