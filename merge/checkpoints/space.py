"""Is there room for the output?"""

from __future__ import annotations

import shutil
from pathlib import Path

from ..errors import MergeError


def check_space(target: Path, nbytes: int) -> None:
    """Refuse an output that cannot fit on its disk.

    Args:
        target: The output's path; the nearest folder above it that exists tells the disk.
        nbytes: Size of the output's tensors.

    Raises:
        MergeError: Saying how much is needed and free.
    """
    folder = next(parent for parent in target.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    if nbytes > free:
        raise MergeError(f"the output needs {human(nbytes)}, and {human(free)} are free", where=str(folder))


def human(nbytes: float) -> str:
    """Return a number of bytes in words."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if nbytes < 999.5:  # above, three digits round to 1000
            return f"{nbytes:.0f} {unit}" if unit == "bytes" else f"{nbytes:.3g} {unit}"
        nbytes /= 1000
    return f"{nbytes:,.2f} TB"
