"""Standard streams of a process that was started without some of them (``2>&-``, some schedulers)."""

from __future__ import annotations

import os
import sys


def fill_standard_streams() -> None:
    """Open the null device where a stream is missing.

    Else messages have nowhere to go, and the first file that is opened becomes the one that libraries print to.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - a device, until the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - a device, until the end
