"""What to say where other processes were asked for and can help with a part of the work only."""

from __future__ import annotations

from .flags import MergeFlags
from .show import say


def done_here(what: str, flags: MergeFlags) -> None:
    """Say what other processes do not help with, where there are some."""
    if flags.spreading.is_spread:
        say(f"note: {what} by this process; --workers and --engine are for the merge itself", flags)
