"""Numbers below the smallest normal one are kept, whatever another library told the processor."""

from __future__ import annotations

import sys


def keep_subnormals() -> None:
    """Undo, in this thread, that the processor makes subnormal numbers 0.

    A thread takes that over from the one that starts it, where ``torch.set_flush_denormal`` or a library compiled
    with ``-ffast-math`` has asked for it.
    """
    smallest = sys.float_info.min
    if smallest / 2 == 0:
        import torch

        torch.set_flush_denormal(False)
