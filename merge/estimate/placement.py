"""Which of disk, link and processor bounds a job, and how many threads are useful: arithmetic on measured rates.

A model, not a promise. A thread reads, computes and writes in turn, so one needs the sum of all three. Several work
side by side until something that they share gives no more: a disk or a link its bytes per second, the processor its
cores. A link is taken to be as fast for many threads as it was for those that measured it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

PROCESSOR = "processor"


class Placement(NamedTuple):
    """How long a job takes, and why.

    Attributes:
        seconds: With the threads that it would have.
        bound_by: The link, or ``processor``.
        useful: Threads on this machine beyond which nothing gets faster.
        anywhere: Threads on any number of machines that the slowest link can feed; None where there is no link.
    """

    seconds: float
    bound_by: str
    useful: int
    anywhere: int | None


def place(links: Mapping[str, float], worked: float, computed: float, threads: int, cores: int) -> Placement:
    """Work out what bounds a job.

    Args:
        links: Seconds that every link needs for its bytes, at best.
        worked: Seconds that one thread alone would need for everything.
        computed: Seconds of these that need a core.
        threads: How many there will be, in all processes.
        cores: How many cores there are.
    """
    slowest = max(links, key=lambda link: links[link], default=None)
    at_best = links[slowest] if slowest is not None else 0.0
    by_cores = computed / max(1, min(threads, cores))
    seconds = max(at_best, by_cores, worked / max(1, threads))
    anywhere = max(1, math.ceil(worked / at_best - 1e-9)) if at_best > 0 else None
    useful = cores if anywhere is None else min(cores, anywhere)
    bound_by = slowest if slowest is not None and at_best >= by_cores else PROCESSOR
    return Placement(seconds, bound_by, max(1, useful), anywhere)
