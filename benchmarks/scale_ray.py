"""What handing out pieces of work costs beside the work: processes of this machine, and a cluster of Ray on it."""

from __future__ import annotations

import importlib.util
import os
import statistics
import time
from collections.abc import Mapping
from typing import NamedTuple

from scale_table import Section, often, verdict

_MOST = 5  # per cent over the work itself
_WORKERS = 2
_HEADINGS = ("engine", "start-up s", "work alone s", "measured s", "more", "an empty shard, ms", "targets")
_ABOUT = """\
{shards} shards of simulated work: each waits for {seconds:g} s, so {workers} workers need {ideal:.1f} s for all. They
are handed out by `merge.distributed.spreading.crew`, in the way in which a merge hands out its shares. Start-up is the
time from nothing until every worker has answered once, and is not counted as *more*; {often}. *An empty
shard* is the time of as many shards without work over their number: how often one can be handed out."""


class Handed(NamedTuple):
    """Seconds of one run.

    Attributes:
        start: Until every worker has answered once.
        worked: Of all shards.
        empty: Of one shard without work.
    """

    start: float
    worked: float
    empty: float


def ray(shards: int, seconds: float, runs: int) -> tuple[Section, float | None]:
    """Measure both engines; return what one shard takes of the coordinating process with Ray, too.

    Args:
        shards: How many.
        seconds: Simulated work of each.
        runs: How often.
    """
    engines: dict[str, dict[str, object]] = {"processes": {"workers": _WORKERS}}
    if importlib.util.find_spec("ray") is not None:
        engines["Ray"] = {"engine": "ray", "workers": _WORKERS}
    found = {name: _median([_hand_out(given, shards, seconds) for _ in range(runs)]) for name, given in engines.items()}
    ideal = -(-shards // _WORKERS) * seconds
    about = _ABOUT.format(shards=shards, seconds=seconds, workers=_WORKERS, ideal=ideal, often=often(runs))
    lines = [_line(name, handed, ideal) for name, handed in found.items()]
    more = "" if "Ray" in found else "Ray was not installed."
    return Section("Handing out shards", about, _HEADINGS, lines, more), found["Ray"].empty if "Ray" in found else None


def _hand_out(given: Mapping[str, object], shards: int, seconds: float) -> Handed:
    from merge.distributed.spreading import Spreading, crew

    started, known = time.perf_counter(), set[int]()
    with crew(Spreading(**given)) as members:  # type: ignore[arg-type]
        while len(known) < _WORKERS:  # the first one that is there might do the work of both
            known |= {process for _, process in members.make(who, [(0.2,)] * _WORKERS)}
        ready = time.perf_counter()
        list(members.make(time.sleep, [(seconds,)] * shards))
        done = time.perf_counter()
        list(members.make(time.sleep, [(0.0,)] * shards))
        return Handed(ready - started, done - ready, (time.perf_counter() - done) / shards)


def who(seconds: float) -> int:
    """Wait, and return which process this is."""
    time.sleep(seconds)
    return os.getpid()


def _median(found: list[Handed]) -> Handed:
    return Handed(*(statistics.median(values) for values in zip(*found, strict=True)))


def _line(name: str, handed: Handed, ideal: float) -> list[str]:
    more = 100 * (handed.worked / ideal - 1)
    seconds = [f"{handed.start:.1f}", f"{ideal:.1f}", f"{handed.worked:.2f}"]
    return [name, *seconds, f"{more:.1f} %", f"{1000 * handed.empty:.1f}", verdict("more", _MOST, more, unit=" %")]
