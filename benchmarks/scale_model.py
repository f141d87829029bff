"""Weak scaling to many workers: a model, worked out from rates that are measured on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from inputs import Inputs, warm
from measure import measure
from rows import Row, merge
from scale_table import Section

WORKERS = (1, 2, 4, 8, 16, 64, 256, 1024)
SHARDS = 8  # of each worker
TASK_SECONDS = 0.005  # of the coordinating process for a share, where Ray was not measured
_METHODS: dict[str, bool] = {"soup": False, "ties": True}  # and whether it takes a base
_TINY = 0.01  # gigabytes of inputs that are merged to see how long a start takes
_LEAST = 0.001  # seconds of a shard, where shards are so small that chance decides
_INPUTS = 4  # files that are read for one that is written
_HEADINGS = ("workers", "machines", "{0}: s", "efficiency", "bound by", "{1}: s", "efficiency", "bound by")
_ABOUT = """\
**A model, not a measurement**: one worker was measured here, the rest is worked out. Work grows with the workers:
{shards} shards for each, of {size:g} GB, from {inputs} inputs of that size, so {gigabytes:g} GB are read for a shard.

    T(W) = start + max(shards · max(t, c · bytes / link, W · bytes / store), W · shards · task)

| | |
|---|---|
| W | the number of workers |
| t | seconds of one shard by one worker of one thread, inputs warm; measured here: {measured} |
| start | seconds until a process works; measured here: {start} |
| c | workers of a machine, {per} at most |
| link | {link:g} GB/s of a machine (assumed) |
| store | {store:g} GB/s of the store or file server that all machines share (assumed) |
| task | {task:.1f} ms of the coordinating process for a share ({origin}) |

The efficiency is T(1) / T(W). Left out: stragglers, lost machines, latency, and that memory is slower where all cores
of a machine work."""


class Assumed(NamedTuple):
    """What the model takes as given.

    Attributes:
        link: GB/s of a machine.
        store: GB/s of what all machines read from and write to.
        per_machine: Workers of a machine.
        task: Seconds of the coordinating process for a share.
        origin: Where that comes from.
    """

    link: float
    store: float
    per_machine: int
    task: float = TASK_SECONDS
    origin: str = "assumed"


class Measured(NamedTuple):
    """What one worker takes.

    Attributes:
        start: Seconds until it works.
        shard: Seconds of one shard.
        gigabytes: Read and written for it.
    """

    start: float
    shard: float
    gigabytes: float


class Modelled(NamedTuple):
    """Seconds of a run, and which term is the largest."""

    seconds: float
    bound: str


def model(measured: Measured, assumed: Assumed, workers: int) -> Modelled:
    """Return what the formula of the text gives for so many workers."""
    here = min(workers, assumed.per_machine)
    terms = {
        "processor": SHARDS * measured.shard,
        "link": SHARDS * here * measured.gigabytes / assumed.link,
        "store": SHARDS * workers * measured.gigabytes / assumed.store,
        "coordinator": workers * SHARDS * assumed.task,
    }
    bound = max(terms, key=lambda name: terms[name])
    return Modelled(measured.start + terms[bound], bound)


def weak_scaling(inputs: Inputs, assumed: Assumed, runs: int) -> Section:
    """Measure one worker, and work out what more of them take.

    Args:
        inputs: Makes the files, each as large as a shard.
        assumed: What is taken as given.
        runs: How often the worker is measured.
    """
    found = _measure(inputs, runs)
    headings = [heading.format(*found) for heading in _HEADINGS]
    lines = [_line(list(found.values()), assumed, workers) for workers in WORKERS]
    return Section("Weak scaling, modelled", _about(inputs.gigabytes, found, assumed), headings, lines)


def _about(size: float, found: Mapping[str, Measured], assumed: Assumed) -> str:
    return _ABOUT.format(
        shards=SHARDS,
        size=size,
        inputs=_INPUTS,
        gigabytes=_INPUTS * size,
        measured=", ".join(f"{one.shard:.2f} ({method})" for method, one in found.items()),
        start=", ".join(f"{one.start:.2f} ({method})" for method, one in found.items()),
        per=assumed.per_machine,
        link=assumed.link,
        store=assumed.store,
        task=1000 * assumed.task,
        origin=assumed.origin,
    )


def _measure(inputs: Inputs, runs: int) -> dict[str, Measured]:
    tiny = Inputs(inputs.folder.parent / "tiny", _TINY)
    sets = {"start of ": tiny, "": inputs}
    files = {name: [one.tuned(variant) for variant in range(_INPUTS)] for name, one in sets.items()}
    out = inputs.output("merged.st")
    rows = [_row(name, method, files[name], out) for name in sets for method in _METHODS]
    warm([file for one in files.values() for file in one])
    used = measure(rows, runs)
    gigabytes = (_INPUTS + 1) * inputs.gigabytes
    starts = {method: used[f"start of {method}"].wall for method in _METHODS}
    return {
        method: Measured(start, max(_LEAST, used[method].wall - start), gigabytes) for method, start in starts.items()
    }


def _row(prefix: str, method: str, files: Sequence[Path], out: Path) -> Row:
    base, *models = files
    given = models if _METHODS[method] else files
    options = ("--base", str(base)) if _METHODS[method] else ()
    return Row(prefix + method, (merge(method, given, out, "--threads", "1", *options),), output=out)


def _line(measured: Sequence[Measured], assumed: Assumed, workers: int) -> list[str]:
    cells = [f"{workers:,}", f"{-(-workers // assumed.per_machine):,}"]
    for one in measured:
        found, alone = model(one, assumed, workers), model(one, assumed, 1)
        cells += [f"{found.seconds:,.1f}", f"{alone.seconds / found.seconds:.0%}", found.bound]
    return cells
