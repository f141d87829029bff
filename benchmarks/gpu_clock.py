"""Seconds of what runs on a GPU or on the processor, within a budget."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def settle(device: str) -> None:
    """Wait until a device has done everything that it was asked for."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], Any], device: str, runs: int) -> float:
    """Return the median seconds of some runs, after one that does not count."""
    found = []
    for _ in range(runs + 1):
        settle(device)
        started = time.perf_counter()
        work()
        settle(device)
        found.append(time.perf_counter() - started)
    return statistics.median(found[1:])


class Budget:
    """Seconds that are left, and what one measurement may take of them.

    Args:
        total: Seconds for everything.
        each: Seconds for one measurement.
    """

    def __init__(self, total: float, each: float) -> None:
        self._end, self._each = time.perf_counter() + total, each

    def allows(self, seconds: float) -> bool:
        """Tell whether something that is expected to take so long may still begin."""
        return seconds <= min(self._each, self._end - time.perf_counter())

    def once(self, work: Callable[[], T], device: str) -> tuple[float, T]:
        """Return the seconds of one run, and what it returned."""
        settle(device)
        started = time.perf_counter()
        found = work()
        settle(device)
        return time.perf_counter() - started, found


class Growing:
    """Measures ever larger problems on one side until the next one would take too long.

    Args:
        budget: What may be taken.
        device: Where.
        growth: How much longer a problem takes than the one before.
    """

    def __init__(self, budget: Budget, device: str, growth: float) -> None:
        self._budget, self._device, self._growth = budget, device, growth
        self._last: float | None = 0.0

    def measure(self, work: Callable[[], T]) -> tuple[float, T] | None:
        """Return the seconds and the outcome, or None where it would take too long."""
        if self._last == 0:
            work()  # which loads libraries, and is not counted
        if self._last is None or not self._budget.allows(self._last * self._growth):
            self._last = None
            return None
        self._last, found = self._budget.once(work, self._device)
        return self._last, found
