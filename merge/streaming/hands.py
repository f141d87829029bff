"""Who does the work of a run: here, threads of this process. Other processes have hands of the same kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, NamedTuple, Protocol, cast

from ..checkpoints.expected import announce
from ..plan import Plan
from .backends import has_matrices
from .context import ResultKey
from .crew import Crew
from .pieces import Numbered
from .reductions import Reducer
from .rounds import Rounds
from .stopwatch import Totals
from .tallies import Tallies
from .worker import Setting, SpanDigests, Worker


class Finished(NamedTuple):
    """A piece that has been computed and written.

    Attributes:
        number: Its number in the plan.
        digests: The digests of its spans.
        records: What methods noted, by name of the tensor.
        shortages: The other ways that were resorted to where memory ran short; see `merge.streaming.ways`.
        tallies: What rounding did, by the name of the tensor; see `merge.streaming.tallies`.
    """

    number: int
    digests: list[SpanDigests]
    records: dict[str, dict[str, Any]]
    shortages: list[str]
    tallies: Tallies


class Hands(Protocol):
    """Who does the work of a run, inside a ``with`` block."""

    def __enter__(self) -> Hands:
        """Begin."""

    def __exit__(self, *error: object) -> None:
        """End; after an error, stop whatever is under way."""

    def reduce(
        self, pieces: Sequence[Numbered], reducers: Mapping[ResultKey, Reducer]
    ) -> Iterator[dict[ResultKey, Any]]:
        """Show pieces to unfinished reducers; yield what each contributed, in the order of the pieces."""

    def process(self, pieces: Sequence[Numbered], done: Set[int]) -> Iterator[Finished]:
        """Compute and write all pieces but those that are done, in any order.

        Raises:
            MergeError: Naming file and tensor.
        """

    def totals(self) -> Totals:
        """Return what reading, computing and writing took so far."""


class ThreadHands:
    """Threads of this process.

    Args:
        plan: The plan.
        setting: What they share.
        rounds: The reductions of the run.
        threads: How many.
        make_backend: Makes a thread's backend.
    """

    def __init__(
        self, plan: Plan, setting: Setting, rounds: Rounds, threads: int, make_backend: Callable[[], Any]
    ) -> None:
        self._plan, self._setting, self._rounds = plan, setting, rounds
        self._crew = Crew(threads, lambda: Worker(setting, make_backend()), setting.stop)
        # What makes backends may hold a part of a GPU's memory meanwhile.
        held = make_backend if isinstance(make_backend, AbstractContextManager) else nullcontext()
        self._limits = ExitStack()
        self._limited = (_one_thread_per_matrix(plan), held)

    def __enter__(self) -> ThreadHands:
        for limit in self._limited:
            self._limits.enter_context(limit)
        self._crew.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._crew.__exit__(*error)
        self._limits.__exit__(None, None, None)

    def stop(self) -> None:
        """Let whatever is under way fail soon, from any thread."""
        self._setting.stop.set()

    def reduce(
        self, pieces: Sequence[Numbered], reducers: Mapping[ResultKey, Reducer]
    ) -> Iterator[dict[ResultKey, Any]]:
        """Show pieces to unfinished reducers; yield what each contributed, in the order of the pieces."""
        for _, seen in self._crew.map(lambda worker, item: worker.reduce(item[1], reducers), pieces):
            yield seen

    def process(self, pieces: Sequence[Numbered], done: Set[int]) -> Iterator[Finished]:
        """Compute and write all pieces but those that are done, in order, with reductions as far as they are open."""
        self._announce([piece for piece in pieces if piece[0] not in done or self._rounds.read_again])
        for group in self._rounds.groups(pieces):
            todo = [item for item in group if item[0] not in done]
            if todo:
                self._rounds.run(self, group)
                for (number, _), found in self._crew.map(lambda worker, item: worker.process(item[1]), todo):
                    yield Finished(number, *found)

    def totals(self) -> Totals:
        """Return what reading, computing and writing took so far."""
        return self._setting.watch.totals()

    def _announce(self, pieces: Sequence[Numbered]) -> None:
        """Tell sources elsewhere what will be read, in order."""
        rows = [row for _, piece in pieces for span in piece for row in self._plan.rows[span.first : span.last]]
        twice = any(row.scales and row.scales.is_single for row in rows)  # its largest number is looked for first
        announce(rows, self._plan.sources, again=self._rounds.read_again or twice)


def _one_thread_per_matrix(plan: Plan) -> AbstractContextManager[Any]:
    """Return a context in which a decomposition does not depend on the number of cores; matrices run side by side."""
    if not has_matrices(plan):
        return nullcontext()
    from threadpoolctl import threadpool_limits

    return cast(AbstractContextManager[Any], threadpool_limits(1, user_api="blas"))
