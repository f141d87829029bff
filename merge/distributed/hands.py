"""Other processes as the hands of a run: what is the same wherever they are."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..streaming.context import ResultKey
from ..streaming.hands import Finished, Hands
from ..streaming.pieces import Numbered
from ..streaming.reductions import Reducer
from ..streaming.rounds import GROUP_ELEMENTS, Rounds
from ..streaming.stopwatch import Stopwatch, Totals
from .helper import Progress, ShareEnd
from .job import make_job
from .shares import Share, cut_shares, numbers_of, share_elements

if TYPE_CHECKING:
    from ..engine import RunSettings
    from ..plan import Plan
    from ..streaming.sink import SharedSink, Sink


Answer = TypeVar("Answer")


class OtherHands(ABC):
    """Processes that make the same plan and are given shares of it.

    Args:
        plan: The plan.
        sink: Where the output's bytes go.
        settings: How to run it.
        rounds: The reductions of the run.
        results: Their outcomes, also those of an earlier run.
        threads: Threads of each process.
    """

    largest_share = GROUP_ELEMENTS

    def __init__(
        self,
        plan: Plan,
        sink: Sink,
        settings: RunSettings,
        rounds: Rounds,
        results: Mapping[ResultKey, Any],
        threads: int,
    ) -> None:
        self._plan, self._settings, self._rounds, self._results = plan, settings, rounds, results
        self._job = make_job(uuid.uuid4().hex, plan, sink, settings, threads)
        self._sink = cast("SharedSink", sink)
        self._spent: dict[str, Totals] = {}

    @abstractmethod
    def __enter__(self) -> OtherHands:
        """Begin."""

    @abstractmethod
    def __exit__(self, *error: object) -> None:
        """Stop whatever is under way."""

    @property
    @abstractmethod
    def _workers(self) -> int:
        """How many shares are worked on at once."""

    @abstractmethod
    def _process(self, shares: Sequence[Share], done: Set[int]) -> Iterator[Progress | ShareEnd]:
        """Have shares processed; yield pieces as they are finished, and the end of each share."""

    @abstractmethod
    def _reduce(self, shares: Sequence[Share], reducers: Mapping[ResultKey, Reducer]) -> Iterator[dict[ResultKey, Any]]:
        """Have shares shown to reducers; yield what each piece contributed, in order."""

    def reduce(
        self, pieces: Sequence[Numbered], reducers: Mapping[ResultKey, Reducer]
    ) -> Iterator[dict[ResultKey, Any]]:
        """Show pieces to unfinished reducers; yield what each contributed, in the order of the pieces."""
        return self._reduce(list(cut_shares(pieces, self._plan.rows, self._elements(pieces))), reducers)

    def process(self, pieces: Sequence[Numbered], done: Set[int]) -> Iterator[Finished]:
        """Compute and write all pieces but those that are done, in any order.

        Raises:
            MergeError: Naming file and tensor.
        """
        if self._rounds.over_checkpoint:
            self._rounds.run(self, pieces)
        shares = cut_shares(
            pieces,
            self._plan.rows,
            self._elements(pieces),
            whole_files=self._sink.whole_files,
            divisible=self._rounds.over_checkpoint or not self._rounds.read_again,
        )
        todo = [share for share in shares if not done >= set(numbers_of(share))]
        seen = set(done)
        for found in self._process(todo, done):
            if isinstance(found, ShareEnd):
                self._sink.take(found.handed)
                self._spent[found.process] = found.totals
                continue
            self._settings.advance(found.nbytes, 0)
            if found.finished.number not in seen:  # else a share that was begun twice
                seen.add(found.finished.number)
                yield found.finished

    def totals(self) -> Totals:
        """Return what all processes have spent so far."""
        return reduce(Totals.beside, self._spent.values()) if self._spent else Stopwatch(()).totals()

    def _elements(self, pieces: Sequence[Numbered]) -> int:
        return share_elements(pieces, self._workers, self.largest_share)


def in_order(answers: Iterable[tuple[int, Answer]]) -> Iterator[Answer]:
    """Yield answers in the order of their numbers, which count from 0."""
    waiting: dict[int, Answer] = {}
    following = 0
    for number, answer in answers:
        waiting[number] = answer
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def other_hands(plan: Plan, sink: Sink, settings: RunSettings, rounds: Rounds, results: dict[ResultKey, Any]) -> Hands:
    """Return the processes that the settings ask for, as the hands of a run.

    Raises:
        UsageError: They cannot be had, or cannot help with this merge.
    """
    if settings.engine == "ray":
        from .ray_hands import RayHands

        return RayHands(plan, sink, settings, rounds, results)
    from .process_hands import ProcessHands

    return ProcessHands(plan, sink, settings, rounds, results)
