"""What a process holds: memory, files, threads, Python objects."""

from __future__ import annotations

import gc
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from process_status import held


class Holdings(NamedTuple):
    """What this process holds.

    Attributes:
        resident: Bytes of memory.
        files: Open file descriptors; -1 where the system does not tell.
        threads: Threads of Python.
        system_threads: Threads, those of libraries included; -1 where the system does not tell.
        objects: Objects that Python's collector tracks.
    """

    resident: int
    files: int
    threads: int
    system_threads: int
    objects: int


def holdings() -> Holdings:
    """Look at this process, with everything collected that can be."""
    gc.collect()
    files, tasks = (_count(Path("/proc/self") / name) for name in ("fd", "task"))
    return Holdings(held("VmRSS"), files, threading.active_count(), tasks, len(gc.get_objects()))


def _count(folder: Path) -> int:
    return len(list(folder.iterdir())) if folder.exists() else -1


def slope(places: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Return the least-squares slope of values over places, and half the width of its 95 % interval."""
    from scipy.stats import linregress
    from scipy.stats import t as student

    if len(set(values)) == 1:
        return 0.0, 0.0
    found = linregress(places, values)
    return float(found.slope), float(found.stderr * student.ppf(0.975, len(places) - 2))
