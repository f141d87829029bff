"""What there is to do in a plan: bytes to read through each link, to compute, to write, and how fast that goes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from ..checkpoints.links import is_disk
from ..plan import Plan
from ..program import Call, calls
from . import kinds
from .rates import Rates

_MORE_PASSES = 2  # over the inputs, by methods that look at whole tensors before they merge them


class Work(NamedTuple):
    """One kind of work.

    Attributes:
        kind: Its name among the rates.
        through: The link that its bytes go through; empty where there is none.
        nbytes: How much of it there is.
        rate: Bytes per second: what a link gives, or what one thread computes. None where nothing was measured.
        runs: Of how many merges the rate is the median.
    """

    kind: str
    through: str
    nbytes: int
    rate: float | None
    runs: int

    @property
    def seconds(self) -> float | None:
        """The seconds that it takes, where a rate is known."""
        return self.nbytes / self.rate if self.rate else None


class Works(NamedTuple):
    """All that there is to do.

    Attributes:
        passes: How often the inputs are read.
        reading: One for every link.
        cached: By link, reading where the page cache holds all that comes from disks here; empty where it cannot.
        computing: On one thread.
        writing: None where the output has no place yet.
    """

    passes: int
    reading: list[Work]
    cached: Mapping[str, Work]
    computing: Work
    writing: Work | None

    @property
    def unmeasured(self) -> list[str]:
        """The kinds of work of which nothing is known."""
        every = [*self.reading, self.computing, *([self.writing] if self.writing else [])]
        return [work.kind for work in every if work.rate is None and work.nbytes]


def passes_of(plan: Plan) -> int:
    """Return how often the inputs are read: once, and more where rounds of reductions are certain to run."""
    return 1 + (_MORE_PASSES if _scopes(plan) else 0)


def _scopes(plan: Plan) -> set[str]:
    distinct = {id(row.expression): row.expression for row in plan.rows if row.expression is not None}
    found = [call for expression in distinct.values() for call in calls(expression) if isinstance(call, Call)]
    return {reduction.scope for call in found for reduction in call.reductions}


def works_of(plan: Plan, links: list[str], device: str, target: str, rates: Rates) -> Works:
    """Return what there is to do.

    Args:
        plan: The plan.
        links: Through what every source is read.
        device: ``cpu`` or ``cuda``.
        target: Through what the output goes; empty where that is not known.
        rates: What was measured.
    """

    def work(kind: str, through: str, nbytes: int) -> Work:
        return Work(kind, through, nbytes, rates.of(kind), rates.runs(kind))

    sizes, passes = kinds.link_bytes(plan, links), passes_of(plan)
    again = passes if "checkpoint" in _scopes(plan) else 1  # else the second look finds what the first one brought
    on_disks = sum(nbytes for link, nbytes in sizes.items() if is_disk(link))
    fits = on_disks <= memory_bytes() // 2
    reading = [
        work(kinds.reading(link), link, nbytes * (1 if fits or not is_disk(link) else again))
        for link, nbytes in sizes.items()
    ]
    cached = {
        link: work(kinds.reading_cached(link), "", nbytes * passes) if is_disk(link) else one
        for (link, nbytes), one in zip(sizes.items(), reading, strict=True)
    }
    return Works(
        passes,
        reading,
        cached if fits and on_disks else {},
        work(kinds.computing(plan, device), "", plan.bytes_read),
        work(kinds.writing(target), target, plan.bytes_written) if target else None,
    )


def memory_bytes() -> int:
    """Return the main memory of this machine; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0
