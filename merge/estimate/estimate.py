"""What a plan will need, before it is run: bytes, time by measured rates, disk, memory, and what bounds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..checkpoints.links import link_of
from ..engine import RunSettings, cores, threads_of
from ..plan import Plan
from ..streaming.backends import CPU_CHUNK_BUDGET, GPU_CHUNK_ELEMENTS, GPU_WORKERS
from .device import device_of
from .memory import Memory, memory_of
from .placement import Placement, place
from .rates import Rates, read_rates
from .room import Room, link_of_output, room_of
from .works import Work, Works, works_of


@dataclass(frozen=True)
class Estimate:
    """What a plan will need.

    Attributes:
        works: What there is to do, and how fast earlier merges did it.
        threads, processes: Who does it: threads of each process.
        placement: What bounds it; None where a rate is unknown.
        in_memory: The same where the page cache holds what lies on disks here.
        local: Whether this machine does the work, whose rates alone are known.
    """

    room: Room
    memory: Memory
    works: Works
    threads: int
    processes: int
    cores: int
    placement: Placement | None
    in_memory: Placement | None
    local: bool


def estimate(plan: Plan, settings: RunSettings, rates: Rates | None = None) -> Estimate:
    """Estimate what a plan will need.

    Args:
        plan: The plan.
        settings: How it would be run.
        rates: What was measured; by default what the user's cache folder has.
    """
    links, device = [link_of(source) for source in plan.sources], device_of(plan, settings.device)
    threads, processes, local = threads_of(plan, settings), settings.workers, settings.engine == "local"
    if device != "cpu" and not settings.threads and local and processes == 1:
        threads = max(threads, GPU_WORKERS)  # several processes keep a GPU busy together
    works = works_of(plan, links, device, link_of_output(plan), read_rates() if rates is None else rates)
    read = {work.through: work for work in works.reading}
    chunk = settings.chunk_elements or (CPU_CHUNK_BUDGET // threads if device == "cpu" else GPU_CHUNK_ELEMENTS)
    return Estimate(
        room_of(plan),
        memory_of(plan, links, device, threads, chunk),
        works,
        threads,
        processes,
        cores(),
        _placement(works, read, threads * processes) if local else None,
        _placement(works, works.cached, threads * processes) if works.cached and local else None,
        local,
    )


def _placement(works: Works, reading: Mapping[str, Work], threads: int) -> Placement | None:
    """Return what bounds the job, where every rate is known; what the page cache holds goes through no link."""
    every = [*reading.values(), works.computing, *([works.writing] if works.writing else [])]
    if any(work.seconds is None for work in every if work.nbytes):
        return None
    links: dict[str, float] = {}
    worked = computed = 0.0
    for work in every:
        seconds = work.seconds or 0.0
        worked += seconds
        if work.through:
            links[work.through] = links.get(work.through, 0.0) + seconds
        else:
            computed += seconds
    return place(links, worked, computed, threads, cores())
