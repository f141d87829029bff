"""Where models are run."""

from __future__ import annotations

import os

from ..errors import MergeError, UsageError


def own_device(name: str) -> str:
    """Return the torch device of one of several processes: where there are more GPUs than one, they are dealt out.

    Raises:
        UsageError: It is no device's name.
        MergeError: This machine has no such device.
    """
    import torch

    chosen = choose_device(name)
    count = torch.cuda.device_count()
    return f"cuda:{os.getpid() % count}" if chosen == "cuda" and count > 1 else chosen


def choose_device(name: str) -> str:
    """Return the torch device of a name; ``auto`` is the first CUDA device where there is one.

    Raises:
        UsageError: It is no device's name.
        MergeError: This machine has no such device.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not (kind == "cuda" and number.isdecimal())):
        raise UsageError(f"no device '{name}'", hint="auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise MergeError(f"the device '{name}' is not there", hint=f"CUDA devices here: {torch.cuda.device_count()}")
    return name
