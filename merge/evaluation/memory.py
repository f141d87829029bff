"""How much memory is free."""

from __future__ import annotations

import os
from pathlib import Path


def free_memory() -> int | None:
    """Return the bytes that programs can still get, the page cache included; None where the system does not say."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on every system
        return None
    return free + _reclaimable()


def _reclaimable() -> int:
    """Return the bytes of the page cache, which the system gives back when they are asked for."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    sizes = dict(line.split(":") for line in lines)
    return int(sizes.get("Cached", "0 kB").split()[0]) * 1024
