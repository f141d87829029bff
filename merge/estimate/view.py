"""An estimate for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator

from ..checkpoints.links import is_disk
from ..checkpoints.space import human
from ..streaming.stopwatch import Totals
from .document import EstimateDocument, PlacementDocument, WorkDocument
from .estimate import Estimate
from .placement import PROCESSOR, Placement
from .recording import LEAST_BYTES
from .works import Work, Works

_UNITS = (("days", 86400.0), ("h", 3600.0), ("min", 60.0))


def render(found: Estimate) -> list[str]:
    """Return the lines of an estimate."""
    room, works = found.room, found.works
    free = f", {human(room.free)} free in {room.folder}" if room.free is not None else ""
    lines = [f"disk     {human(room.needed)} needed{free}", f"memory   {_memory(found)}", *_times(found)]
    every = [*works.reading, *(works.cached.values() if found.in_memory else ()), works.computing, works.writing]
    known = [work for work in every if work and work.nbytes and work.seconds is not None] if found.local else []
    shown = {work.kind: work for work in known}
    lines += [f"         {_spelt(work)}" for work in shown.values()]
    if works.unmeasured and found.local:
        lines.append(f"unknown  {', '.join(works.unmeasured)}: never measured here; {_how(works)}")
    placement = found.placement or found.in_memory
    return [*lines, f"bound    {_advice(found, placement)}"] if placement is not None else lines


def _times(found: Estimate) -> Iterator[str]:
    """Yield how long it takes, as far as that is known."""
    if found.placement is not None:
        yield f"time     {_about(found.placement.seconds)} on {_spread(found)}, by measured rates"
    if found.in_memory is not None:
        yield f"time     {_about(found.in_memory.seconds)} where the inputs are in memory, by measured rates"
    if not found.local:
        yield "time     unknown: rates are those of this machine, not of a cluster"
    elif found.placement is None and found.in_memory is None:
        yield "time     unknown: not every rate was measured"


def _how(works: Works) -> str:
    """Return how to get the rates that are missing."""
    cold = any(work.rate is None and is_disk(work.through) for work in works.reading)
    inputs = " and of inputs that are not in memory yet" if cold else ""
    return f"a merge of this kind, of {human(LEAST_BYTES)} or more{inputs}, measures them"


def _about(seconds: float) -> str:
    return f"about {duration(seconds)}" if seconds >= 1 else duration(seconds)


def _memory(found: Estimate) -> str:
    memory = found.memory
    each = f", in each of {found.processes} processes" if found.processes > 1 else ""
    whole = f"; matrices of up to {human(memory.whole)} in all models are held as a whole" if memory.whole else ""
    parts = f"{human(memory.program)} program and plan, {human(memory.per_thread)} for {_threads(memory.threads)}"
    return f"about {human(memory.total)}{each}: {parts}{whole}"


def _threads(count: int) -> str:
    return f"each of {count} threads" if count > 1 else "one thread"


def _spread(found: Estimate) -> str:
    threads = _plural(found.threads, "thread")
    return f"{found.processes} processes of {threads}" if found.processes > 1 else threads


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _spelt(work: Work) -> str:
    each = "" if work.through else " a thread"
    rate = f"{human(work.rate or 0)}/s{each} (of {_plural(work.runs, 'merge')})"
    return f"{work.kind}: {human(work.nbytes)} at {rate}, {duration(work.seconds or 0)}"


def _advice(found: Estimate, placement: Placement) -> str:
    """Return what bounds a job and how many threads are useful."""
    has, useful = found.threads * found.processes, placement.useful
    if placement.bound_by == PROCESSOR:
        bound = f"by the processor ({found.cores} cores)"
    else:
        bound = f"by {'the ' if is_disk(placement.bound_by) else ''}{placement.bound_by}"
    threads = f"{_plural(useful, 'thread')} {'are' if useful > 1 else 'is'} useful here"
    given = "" if useful == has else f", it has {has}"
    if placement.anywhere is not None and placement.anywhere > found.cores:
        given += f"; more machines help up to about {placement.anywhere} threads"
    return f"{bound}; {threads}{given} (an estimate)"


def duration(seconds: float) -> str:
    """Return a time in words."""
    if seconds < 1:
        return "a second or less"
    for unit, size in _UNITS:
        if seconds >= 1.5 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


def spent(totals: Totals) -> str:
    """Return in a line what the threads of a finished merge spent their time on."""
    reading = sum(each.seconds for each in totals.read.values())
    parts = {"reading": reading, "computing": totals.computed, "writing": totals.written.seconds}
    whole = sum(parts.values()) or 1.0
    shares = ", ".join(f"{seconds / whole:.0%} {name}" for name, seconds in parts.items())
    return f"time of {_plural(totals.threads, 'thread')}: {shares}"


def as_json(found: Estimate) -> EstimateDocument:
    """Return an estimate as plain data."""
    works, memory = found.works, found.memory
    return {
        "passes": works.passes,
        "reading": [_work(work) for work in works.reading],
        "computing": _work(works.computing),
        "writing": _work(works.writing) if works.writing else None,
        "disk": {"needed": found.room.needed, "free": found.room.free, "folder": found.room.folder},
        "memory": {
            "program": memory.program,
            "per_thread": memory.per_thread,
            "threads": memory.threads,
            "total": memory.total,
            "largest_whole": memory.whole,
        },
        "threads": found.threads,
        "processes": found.processes,
        "cores": found.cores,
        "placement": _placement(found.placement),
        "if_cached": _placement(found.in_memory),
        "unmeasured": works.unmeasured,
    }


def _work(work: Work) -> WorkDocument:
    seconds = work.seconds
    return {"kind": work.kind, "bytes": work.nbytes, "rate": work.rate, "seconds": seconds, "merges": work.runs}


def _placement(placement: Placement | None) -> PlacementDocument | None:
    if placement is None:
        return None
    seconds, bound_by, useful, anywhere = placement
    return {"seconds": seconds, "bound_by": bound_by, "useful_threads": useful, "useful_anywhere": anywhere}
