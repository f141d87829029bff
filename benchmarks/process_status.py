"""What the operating system says of this process."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def held(what: str) -> int:
    """Return bytes of resident memory: what is held now (VmRSS), or was at the peak (VmHWM)."""
    status = Path("/proc/self/status")
    if not status.exists():  # the peak, for both: what importing took is then left out of neither
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT
    (line,) = (line for line in status.read_text("utf-8").splitlines() if line.startswith(what))
    return 1024 * int(line.split()[1])
