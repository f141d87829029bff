"""Do two benchmarks share items? Then what was selected on the one is flattered by the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ..evaluation.task import Benchmark, Task
    from .objective import Objective


@runtime_checkable
class Identified(Protocol):
    """A task that can tell its items by their content."""

    def item_digests(self) -> set[bytes]:
        """Return a digest of every item, without its label."""


def shared_items(objective: Objective, reported: Sequence[Benchmark]) -> int:
    """Return how many of the reported items were selected on.

    Items are compared by content, so that two files or splits with the same images are found out. Tasks that cannot
    tell their items apart share all or none, by whether their benchmarks name the same data.
    """
    selected: set[bytes] = set()
    for task in objective.tasks:
        selected |= _digests(task)
    shared = 0
    for benchmark in reported:
        if any(_same_data(benchmark, other) for other in objective.benchmarks):
            shared += 1
        elif selected:
            shared += len(selected & _digests(benchmark.prepare(objective.settings)))
    return shared


def _digests(task: Task) -> set[bytes]:
    return task.item_digests() if isinstance(task, Identified) else set()


def _same_data(one: Benchmark, other: Benchmark) -> bool:
    return all(first == second for first, second in zip(_facts(one), _facts(other), strict=True))


def _facts(benchmark: Benchmark) -> Iterator[object]:
    """Yield what decides which items a benchmark has; places in files have no say."""
    data = getattr(benchmark, "data", None)
    yield benchmark.kind
    yield benchmark.split
    if data is None:
        yield benchmark.name
    else:
        yield sorted((name, str(value)) for name, value in vars(data).items() if name != "where")
