"""Processes on this machine as the hands of a run."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from ..streaming.context import ResultKey
from ..streaming.reductions import Reducer
from ..streaming.rounds import Rounds
from .hands import OtherHands, in_order
from .helper import Progress, ShareEnd
from .pipe import End, Question
from .pool import ProcessPool
from .tasks import process_share, reduce_share

if TYPE_CHECKING:
    from ..engine import RunSettings
    from ..plan import Plan
    from ..streaming.sink import Sink


class ProcessHands(OtherHands):
    """Processes on this machine; see `OtherHands` for the arguments."""

    def __init__(
        self, plan: Plan, sink: Sink, settings: RunSettings, rounds: Rounds, results: Mapping[ResultKey, Any]
    ) -> None:
        from ..engine import cores

        threads = settings.threads or max(1, cores() // settings.workers)
        super().__init__(plan, sink, settings, rounds, results, threads)
        self._pool = ProcessPool(settings.workers)

    def __enter__(self) -> ProcessHands:
        self._pool.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.__exit__(*error)

    @property
    def _workers(self) -> int:
        return self._settings.workers

    def _process(self, shares: Sequence[list[int]], done: Set[int]) -> Iterator[Progress | ShareEnd]:
        results = pickle.dumps(self._results)
        questions = [Question(process_share, (self._job, results, numbers, done & set(numbers))) for numbers in shares]
        for _, found in self._pool.ask(questions):
            if not isinstance(found, End):
                yield found

    def _reduce(
        self, shares: Sequence[list[int]], reducers: Mapping[ResultKey, Reducer]
    ) -> Iterator[dict[ResultKey, Any]]:
        results, as_they_are = pickle.dumps(self._results), pickle.dumps(reducers)
        questions = [Question(reduce_share, (self._job, results, numbers, as_they_are)) for numbers in shares]
        for answer in in_order(self._whole(questions, shares)):
            yield from answer

    def _whole(self, questions: list[Question], shares: Sequence[list[int]]) -> Iterator[tuple[int, list[Any]]]:
        """Yield whole answers with their numbers."""
        parts: dict[int, list[Any]] = {}
        for number, found in self._pool.ask(questions):
            if isinstance(found, End):
                yield number, parts.pop(number, [])[-len(shares[number]) :]  # without what a killed process had said
            else:
                parts.setdefault(number, []).append(found)
