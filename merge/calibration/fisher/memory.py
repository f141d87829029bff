"""Whether there is memory for sums of the size of the model, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import MergeError
from ...evaluation.memory import free_memory

if TYPE_CHECKING:
    from ..subject import Subject
    from .parameters import Parameters

SUMS = 12  # bytes for each entry: the sum in float64, the last mean in float32
AT_WORK = 12  # the squares of a batch in float64, a gradient in float32


def free_bytes(device: str) -> int | None:
    """Return how much memory a device has left; None where nothing says it."""
    import torch

    return free_memory() if device == "cpu" else int(torch.cuda.mem_get_info(device)[0])


def sums_device(parameters: Parameters, subject: Subject) -> str:
    """Return where sums are kept: where the network is if there is plenty of memory, else on the CPU.

    Raises:
        MergeError: There is not enough memory there either.
    """
    free = free_bytes(subject.device)
    if subject.device != "cpu" and (free is None or free > 3 * (SUMS + AT_WORK) * parameters.entries):
        return subject.device
    needed = parameters.entries * (SUMS + (AT_WORK if subject.device == "cpu" else 0))
    free = free_bytes("cpu")
    if free is not None and needed > free:
        what = f"sums of squared gradients need {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} are free"
        raise MergeError(what, where=subject.name)
    return "cpu"
