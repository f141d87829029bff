"""The side of a process that helps: it makes the plan itself and works through the shares that it is given."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, NamedTuple

from ..engine import thread_hands
from ..streaming.context import ResultKey
from ..streaming.hands import Finished
from ..streaming.pieces import cut
from ..streaming.reductions import Reducer
from ..streaming.rounds import Rounds
from ..streaming.stopwatch import Totals
from .job import Job


class Progress(NamedTuple):
    """A piece that is finished, and the bytes that were read since the one before."""

    finished: Finished
    nbytes: int


class ShareEnd(NamedTuple):
    """The end of a share whose pieces were written.

    Attributes:
        handed: What the sink hands over.
        process: Names the process.
        totals: What this process has spent so far.
    """

    handed: Any
    process: str
    totals: Totals


class Helper:
    """One process's part in a merge.

    Args:
        job: The merge.

    Raises:
        MergeError: The inputs or the output cannot be opened, or are others.
    """

    def __init__(self, job: Job) -> None:
        self._open = ExitStack()
        plan = job.plan()
        self._open.callback(plan.close)
        self._sink = job.open_sink(plan)
        self._open.callback(self._sink.close)
        self._pieces = list(enumerate(cut(plan.rows)))
        self._results: dict[ResultKey, Any] = {}
        self._read = 0
        rounds = Rounds(plan.rows, self._results, None)
        settings = replace(job.settings, advance=self._count)
        self._hands = self._open.enter_context(thread_hands(plan, self._sink, settings, rounds, self._results))

    def _count(self, nbytes: int, tensors: int) -> None:
        self._read += nbytes  # a sum that may miss a few bytes between threads: it only moves a progress bar

    def know(self, results: Mapping[ResultKey, Any]) -> None:
        """Learn the outcome of reductions."""
        self._results.update(results)

    def process(self, numbers: Iterable[int], done: Set[int]) -> Iterator[Progress]:
        """Compute and write pieces, given by their numbers, but those that are done.

        Raises:
            MergeError: Naming file and tensor.
        """
        for finished in self._hands.process([self._pieces[number] for number in numbers], done):
            nbytes, self._read = self._read, 0
            yield Progress(finished, nbytes)

    def end(self) -> ShareEnd:
        """Return what is said when the pieces of a share are written."""
        return ShareEnd(self._sink.hand_over(), f"{platform.node()}:{os.getpid()}", self._hands.totals())

    def reduce(self, numbers: Sequence[int], reducers: Mapping[ResultKey, Reducer]) -> Iterator[dict[ResultKey, Any]]:
        """Yield what each of these pieces contributes to unfinished reducers, in their order."""
        return self._hands.reduce([self._pieces[number] for number in numbers], reducers)

    def close(self) -> None:
        """Close everything."""
        self._open.close()
