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


def give_up_output() -> bool:
    """Lead standard output nowhere where it takes nothing more; tell whether that is so.

    Else the interpreter would try once more at its end, and fail in words of its own.
    """
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        return True
    return False
