"""The optional compiled loops: what there is, and whether to use it."""

from __future__ import annotations

import os
from typing import Any

MOST_INPUTS = 64


def compiled_loops() -> Any:
    """Return the module of compiled loops, or None where nothing was compiled or ``MERGE_NO_KERNELS`` is set."""
    if os.environ.get("MERGE_NO_KERNELS"):
        return None
    try:
        from . import _kernels
    except ImportError:
        return None
    return _kernels
