"""A cluster of Ray as the hands of a run: its tasks are shares of the work."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..streaming.context import ResultKey
from ..streaming.reductions import Reducer
from ..streaming.rounds import Rounds
from .hands import OtherHands, in_order
from .helper import Progress, ShareEnd
from .pipe import Question
from .ray_cluster import RayCluster
from .shares import Share, numbers_of
from .tasks import process_share, reduce_share

if TYPE_CHECKING:
    from ..engine import RunSettings
    from ..plan import Plan
    from ..streaming.sink import Sink

LARGEST_SHARE = 2**29  # elements: up to a gigabyte of 16-bit numbers, whole files are given away


class RayHands(OtherHands):
    """Tasks of a Ray cluster; see `OtherHands` for the arguments.

    All its machines must see inputs and output under the same paths, or reach them as URLs.
    """

    largest_share = LARGEST_SHARE

    def __init__(
        self, plan: Plan, sink: Sink, settings: RunSettings, rounds: Rounds, results: Mapping[ResultKey, Any]
    ) -> None:
        from ..engine import threads_of

        threads = threads_of(plan, settings)
        super().__init__(plan, sink, settings, rounds, results, threads)
        most = settings.workers if settings.workers > 1 else None
        self._cluster = RayCluster(settings.address, threads, most, _gpus(settings.device))

    def __enter__(self) -> RayHands:
        self._cluster.__enter__()
        self._shared_job = self._cluster.put(self._job)
        return self

    def __exit__(self, *error: object) -> None:
        self._cluster.__exit__(*error)

    @property
    def _workers(self) -> int:
        return self._cluster.workers

    def _process(self, shares: Sequence[Share], done: Set[int]) -> Iterator[Progress | ShareEnd]:
        results, named = self._cluster.put(pickle.dumps(self._results)), map(numbers_of, shares)
        questions = (
            Question(process_share, (self._shared_job, results, numbers, done & set(numbers))) for numbers in named
        )
        for _, found in self._cluster.ask(questions):
            yield from found

    def _reduce(self, shares: Sequence[Share], reducers: Mapping[ResultKey, Reducer]) -> Iterator[dict[ResultKey, Any]]:
        results = self._cluster.put(pickle.dumps(self._results))
        as_they_are = self._cluster.put(pickle.dumps(reducers))
        named = map(numbers_of, shares)
        questions = (Question(reduce_share, (self._shared_job, results, numbers, as_they_are)) for numbers in named)
        for answer in in_order(self._cluster.ask(questions)):
            yield from answer


def _gpus(device: str) -> int:
    """Return how many GPUs a task takes.

    Raises:
        UsageError: A certain GPU is asked for.
    """
    if device.startswith("cuda:"):
        raise UsageError(f"a cluster deals its GPUs itself, and --device is {device}", hint="give --device cuda")
    return int(device == "cuda")
