"""On what a plan will be computed, found out without importing torch."""

from __future__ import annotations

import sys
from pathlib import Path

from ..plan import Plan
from ..streaming.backends import has_matrices

_DRIVER = Path("/proc/driver/nvidia/version")


def device_of(plan: Plan, device: str) -> str:
    """Return ``cpu`` or ``cuda``.

    Args:
        plan: The plan.
        device: What the user asked for; with ``auto``, methods that decompose matrices run on a GPU where there is one.
    """
    if device != "auto":
        return device.partition(":")[0]
    return "cuda" if has_matrices(plan) and _has_gpu() else "cpu"


def _has_gpu() -> bool:
    torch = sys.modules.get("torch")
    return bool(torch.cuda.is_available()) if torch is not None else _DRIVER.exists()
