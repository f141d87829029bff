"""Runs a plan: streams every row from the sources through the methods into a sink. Knows tensors, no method.

The work is cut into pieces that depend on the plan alone. A crew of workers takes them in order; each reads a
chunk, computes and writes it before the next, so memory does not grow with the checkpoint and nothing queues up.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Literal

from .checkpoints.writer import NullSink
from .disagreements import disagreements
from .errors import UsageError
from .plan import Plan
from .streaming.backends import choose_backend, fewest_threads
from .streaming.context import ResultKey
from .streaming.digests import Digests
from .streaming.hands import Finished, Hands, ThreadHands
from .streaming.journal import Journal, pack, unpack
from .streaming.lost_updates import check_updates
from .streaming.pieces import BLOCK_ELEMENTS, Numbered, Piece, cut, elements
from .streaming.rounder import Rounding
from .streaming.rounds import Rounds
from .streaming.sink import Sink
from .streaming.stopwatch import Stopwatch, Totals
from .streaming.tallies import Tallies, Tally, absorb, rounding_remarks
from .streaming.ways import shortage_remarks
from .streaming.worker import Setting

SMALL_MERGE_BYTES = 64 * 2**20  # below this, a second thread costs more than it brings
Engine = Literal["local", "ray"]


def _nothing(nbytes: int, tensors: int) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class RunSettings:
    """How to run a plan; none of it changes a byte of the result.

    Attributes:
        device: ``cpu``: numpy. ``cuda``: torch on all GPUs that are visible; ``cuda:N``: on one. ``auto``: GPUs for
            methods that decompose matrices, where there are some, else the CPU.
        threads: Threads of each process; by default one per core, up to eight.
        chunk_elements: Elements per chunk, a multiple of 65,536; wider types get fewer. By default so that calls are
            few and buffers small.
        allow_nonfinite: Merge infinities and NaN instead of refusing them.
        advance: Called with the number of bytes read and of tensors finished, from any thread.
        workers: Processes that share the work; one does it all by itself.
        engine: Whether other processes run on this machine or on a cluster of Ray.
        address: Of the cluster; by default the one that the environment names, else one on this machine.
        gpu_memory: The most bytes of each GPU to use; by default most of what is free.
        count_lost_updates: Whether to count the changes of a base that rounding undoes.
    """

    device: str = "auto"
    threads: int | None = None
    chunk_elements: int | None = None
    allow_nonfinite: bool = False
    advance: Callable[[int, int], None] = _nothing
    workers: int = 1
    engine: Engine = "local"
    address: str | None = None
    gpu_memory: int | None = None
    count_lost_updates: bool = False

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
        remarks: What the methods found worth saying about the models, and whether a GPU's memory ran short.
        records: What they noted of single tensors, by name: how a matrix was regressed.
        totals: What reading, computing and writing took.
        tallies: What rounding did to tensors, by name, as far as there is something to say of it.
        rounded: The same in words.
    """

    input_ids: list[str]
    output_id: str
    digests: Digests
    disagreements: list[str]
    pieces_reused: int = 0
    remarks: list[str] = field(default_factory=list)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    totals: Totals | None = None
    tallies: Tallies = field(default_factory=dict)
    rounded: list[str] = field(default_factory=list)


def run(plan: Plan, sink: Sink, settings: RunSettings, journal: Journal | None = None) -> Outcome:
    """Run a plan.

    Args:
        plan: The plan.
        sink: Where the output's bytes go.
        settings: How to run it.
        journal: Pieces that are done already, and where finished ones are recorded.

    Raises:
        MergeError: Naming file and tensor.
        UsageError: Updates are to be counted that there are none of.
    """
    if settings.count_lost_updates:
        check_updates(plan.rows)
    return _Run(plan, sink, settings, journal).run()


def survey(plan: Plan, settings: RunSettings) -> list[str]:
    """Run only what methods ask of the whole checkpoint, and return what they say of it; nothing is merged.

    Raises:
        MergeError: The models cannot be merged, or not be read.
    """
    results: dict[ResultKey, Any] = {}
    rounds = Rounds(plan.rows, results, None)
    if rounds.over_checkpoint:
        pieces = list(enumerate(cut(plan.rows)))
        with thread_hands(plan, NullSink(), settings, rounds, results) as hands:
            rounds.run(hands, pieces)
    return rounds.remarks


class _Run:
    def __init__(self, plan: Plan, sink: Sink, settings: RunSettings, journal: Journal | None) -> None:
        self._plan, self._sink, self._settings, self._journal = plan, sink, settings, journal
        self._results: dict[ResultKey, Any] = {}
        self._digests = Digests(plan.rows, len(plan.sources), plan.same)
        self._records: dict[str, dict[str, Any]] = {}
        self._shortages: Counter[str] = Counter()
        self._tallies: dict[str, Tally] = {}
        self._rounds = Rounds(plan.rows, self._results, journal)

    def run(self) -> Outcome:
        self._plan.refuse_pending()
        pieces = list(enumerate(cut(self._plan.rows)))
        done = self._replay(pieces)
        numbered = dict(pieces)
        with self._hands() as hands:
            for finished in hands.process(pieces, done):
                self._take(finished, numbered[finished.number])
            totals = hands.totals()
        stochastic = self._plan.recipe.output.rounding == "stochastic"
        return Outcome(
            [self._digests.source_id(number, source) for number, source in enumerate(self._plan.sources)],
            self._digests.output_id(),
            self._digests,
            list(disagreements(self._plan, self._digests)),
            len(done),
            self._rounds.remarks + shortage_remarks(self._shortages),
            {row.name: self._records[row.name] for row in self._plan.rows if row.name in self._records},
            totals,
            {row.name: self._tallies[row.name] for row in self._plan.rows if row.name in self._tallies},
            rounding_remarks(self._tallies, self._plan.rows, stochastic=stochastic),
        )

    def _hands(self) -> Hands:
        if self._settings.workers > 1 or self._settings.engine != "local":
            from .distributed.hands import other_hands

            return other_hands(self._plan, self._sink, self._settings, self._rounds, self._results)
        return thread_hands(self._plan, self._sink, self._settings, self._rounds, self._results)

    def _replay(self, pieces: Sequence[Numbered]) -> Set[int]:
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
        for number in self._journal.pieces:
            known = self._journal.tallies.get(number, {})
            absorb(self._tallies, {name: Tally(*found) for name, found in known.items()})
        return set(self._journal.pieces)

    def _take(self, finished: Finished, piece: Piece) -> None:
        self._digests.add(piece, finished.digests)
        self._records |= finished.records
        self._shortages.update(finished.shortages)
        absorb(self._tallies, finished.tallies)
        self._settings.advance(0, self._ended(piece))
        if self._journal is not None:
            for name, facts in finished.records.items():
                self._journal.record("record", name, facts)
            if finished.tallies:
                self._journal.record("tally", finished.number, finished.tallies)
            self._journal.record("piece", finished.number, pack(finished.digests))

    def _ended(self, piece: Piece) -> int:
        """Return how many output tensors end in this piece."""
        rows = self._plan.rows
        ends = [span for span in piece if span.last - span.first > 1 or span.stop == elements(rows[span.first])]
        return sum(span.last - span.first for span in ends if rows[span.first].expression is not None)


def thread_hands(
    plan: Plan, sink: Sink, settings: RunSettings, rounds: Rounds, results: dict[ResultKey, Any]
) -> ThreadHands:
    """Return threads of this process that do the work of a run.

    Args:
        plan: The plan.
        sink: Where the output's bytes go.
        settings: How to run it.
        rounds: The reductions of the run.
        results: Their outcomes.
    """
    threads = settings.threads or max(default_threads(plan), fewest_threads(plan, settings.device))
    make_backend, chunk = choose_backend(plan, settings, threads)
    setting = Setting(
        plan.rows,
        plan.sources,
        sink,
        results,
        plan.recipe.seed,
        rounding_of(plan, settings),
        chunk,
        settings.allow_nonfinite,
        threading.Event(),
        settings.advance,
        Stopwatch(plan.sources, threads),
    )
    return ThreadHands(plan, setting, rounds, threads, make_backend)


def rounding_of(plan: Plan, settings: RunSettings) -> Rounding:
    """Return how the outcomes of a plan are rounded, and whether lost updates are counted."""
    output = plan.recipe.output
    stochastic, saturates = output.rounding == "stochastic", output.overflow == "saturate"
    return Rounding(stochastic, saturates, settings.count_lost_updates, plan.recipe.seed)


def threads_of(plan: Plan, settings: RunSettings) -> int:
    """Return how many threads each process of a run has on a CPU."""
    if settings.threads:
        return settings.threads
    if settings.engine == "ray":
        return 1  # its tasks are many, and each may be of another machine
    return max(1, cores() // settings.workers) if settings.workers > 1 else default_threads(plan)


def default_threads(plan: Plan) -> int:
    """Return how many threads a process gets that works alone, where the user names no number."""
    return 1 if plan.bytes_read < SMALL_MERGE_BYTES else min(cores(), 8)


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
