"""The ways to compute a piece: as planned, in the smallest portions, on the CPU; the next where memory ran short."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .evaluation import Evaluator
from .shortage import is_shortage

T = TypeVar("T")
Work = Callable[[Evaluator, int | None], T]  # called with the evaluator to use, and the most elements of a block
SMALLEST = 1  # elements of a block that are made one unit
SMALLER, ON_CPU = "in smaller portions", "on the CPU"


class Ways:
    """The ways of one worker.

    Args:
        backend: The worker's backend. One whose memory may run short has a method `spare`, which makes another one,
            and a method `release`.
        make_evaluator: Makes the evaluator of a backend.
    """

    def __init__(self, backend: Any, make_evaluator: Callable[[Any], Evaluator]) -> None:
        self._backend, self._make_evaluator = backend, make_evaluator
        self.first = make_evaluator(backend)
        self._spare: Evaluator | None = None
        self._shortages: list[str] = []

    def run(self, work: Work[T]) -> T:
        """Return what work returns, done in the first way for which there is memory.

        Args:
            work: May be called again from the start after it ran out of memory.
        """
        if self._backend.spare is None:
            return work(self.first, None)
        for most, way in ((None, SMALLER), (SMALLEST, ON_CPU)):
            try:
                return work(self.first, most)
            except Exception as error:
                if not is_shortage(error):
                    raise
            # Only here, where the error and what its frames hold is gone, can memory be given back.
            self._backend.release()
            self._shortages.append(way)
        return work(self._on_cpu(), None)

    def _on_cpu(self) -> Evaluator:
        if self._spare is None:
            self._spare = self._make_evaluator(self._backend.spare())
        return self._spare

    def taken_records(self) -> dict[str, dict[str, Any]]:
        """Return what the methods noted since the last call, by name of the tensor."""
        records: dict[str, dict[str, Any]] = {}
        for evaluator in (self.first, self._spare) if self._spare else (self.first,):
            records |= evaluator.records
            evaluator.records = {}
        return records

    def taken_shortages(self) -> list[str]:
        """Return the ways that were resorted to since the last call."""
        found, self._shortages = self._shortages, []
        return found


def shortage_remarks(counts: Mapping[str, int]) -> list[str]:
    """Return what a user should know, from how often each way was resorted to."""
    on_cpu = counts.get(ON_CPU, 0)
    smaller = counts.get(SMALLER, 0) - on_cpu  # every one on the CPU was tried in smaller portions first
    found = [f"{count} of its parts {way}" for count, way in ((smaller, SMALLER), (on_cpu, ON_CPU)) if count]
    return [f"the GPU's memory ran short: the merge computed {' and '.join(found)}"] if found else []
