"""Processes on this machine as the hands of a run. This one is among them: it works while the others start."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any

from ..streaming.context import ResultKey
from ..streaming.reductions import Reducer
from ..streaming.rounds import Rounds
from ..streaming.stopwatch import Totals
from .hands import OtherHands, in_order
from .helper import Progress, ShareEnd
from .pipe import End, Question
from .pool import ProcessPool
from .shares import Share, numbers_of
from .tasks import prepare, process_share, reduce_share

if TYPE_CHECKING:
    from ..engine import RunSettings
    from ..plan import Plan
    from ..streaming.sink import Sink


class ProcessHands(OtherHands):
    """Processes on this machine; see `OtherHands` for the arguments."""

    def __init__(
        self, plan: Plan, sink: Sink, settings: RunSettings, rounds: Rounds, results: dict[ResultKey, Any]
    ) -> None:
        from ..engine import thread_hands, threads_of

        threads = threads_of(plan, settings)
        super().__init__(plan, sink, settings, rounds, results, threads)
        own = Rounds(plan.rows, results, None)
        self._here = thread_hands(plan, sink, replace(settings, threads=threads), own, results)
        self._first = Question(prepare, (self._job,))
        self._pool = ProcessPool(settings.workers - 1)

    def __enter__(self) -> ProcessHands:
        self._pool.__enter__()
        self._here.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            self._here.stop()
        self._pool.__exit__(*error)
        self._here.__exit__(*error)

    def totals(self) -> Totals:
        """Return what all processes have spent so far."""
        return reduce(Totals.beside, self._spent.values(), self._here.totals())

    @property
    def _workers(self) -> int:
        return self._settings.workers

    def _process(self, shares: Sequence[Share], done: Set[int]) -> Iterator[Progress | ShareEnd]:
        results, named = pickle.dumps(self._results), map(numbers_of, shares)
        questions = [Question(process_share, (self._job, results, numbers, done & set(numbers))) for numbers in named]
        for _, found in self._pool.ask(questions, lambda number: self._process_here(shares[number], done), self._first):
            if not isinstance(found, End):
                yield found

    def _process_here(self, share: Share, done: Set[int]) -> Iterator[Progress]:
        for finished in self._here.process(share, done):
            yield Progress(finished, 0)  # these hands count the bytes that they read themselves

    def _reduce(self, shares: Sequence[Share], reducers: Mapping[ResultKey, Reducer]) -> Iterator[dict[ResultKey, Any]]:
        results, as_they_are = pickle.dumps(self._results), pickle.dumps(reducers)
        questions = [Question(reduce_share, (self._job, results, numbers_of(share), as_they_are)) for share in shares]
        copies: Mapping[ResultKey, Reducer] = pickle.loads(as_they_are)  # noqa: S301 - our own, as others see them

        def reduce_here(number: int) -> Iterator[dict[ResultKey, Any]]:
            return self._here.reduce(shares[number], copies)

        for answer in in_order(self._whole(questions, shares, reduce_here)):
            yield from answer

    def _whole(
        self, questions: list[Question], shares: Sequence[Share], here: Callable[[int], Iterator[Any]]
    ) -> Iterator[tuple[int, list[Any]]]:
        """Yield whole answers with their numbers."""
        parts: dict[int, list[Any]] = {}
        for number, found in self._pool.ask(questions, here, self._first):
            if isinstance(found, End):
                yield number, parts.pop(number, [])[-len(shares[number]) :]  # without what a killed process had said
            else:
                parts.setdefault(number, []).append(found)
