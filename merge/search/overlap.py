"""Do two benchmarks share items? Then what was selected on the one is flattered by the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..errors import MergeError

if TYPE_CHECKING:
    from ..evaluation.task import Benchmark, Settings, Task
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


def shares_items(one: Benchmark, other: Benchmark, settings: Settings) -> bool:
    """Tell whether two benchmarks have an item in common; the labels of the first one may be absent."""
    if _same_data(one, other):
        return True
    return bool(_digests_of(one, settings) & _digests_of(other, settings))


def _digests_of(benchmark: Benchmark, settings: Settings) -> set[bytes]:
    """Return a digest of every item; of images, without their labels being read."""
    from ..evaluation.data import load_images
    from ..evaluation.data.digests import image_digests
    from ..evaluation.kinds.classification import Classification
    from ..evaluation.kinds.zero_shot import ZeroShot

    if isinstance(benchmark, Classification | ZeroShot):
        return image_digests(load_images(replace(benchmark.data, needs_labels=False), settings))
    try:
        return _digests(benchmark.prepare(settings))
    except MergeError:  # texts without labels can be learned from, and are no benchmark
        return set()


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
