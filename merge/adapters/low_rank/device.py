"""Where matrices are factorised."""

from __future__ import annotations

from collections.abc import Iterable

from .factorising import EXACT_SIDE


def factorising_device(asked: str, sides: Iterable[int]) -> str:
    """Return where matrices are factorised: on a GPU where there is one and some matrix is worth it, or as asked.

    Args:
        asked: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        sides: The smaller side of every matrix.

    Raises:
        UsageError: There is no such device.
    """
    if asked == "auto":
        asked = "cuda" if max(sides, default=0) > EXACT_SIDE and _has_gpu() else "cpu"
    if asked == "cpu":
        return asked
    from ...streaming.gpus import gpu_names, load_solvers

    name = gpu_names(asked)[0]
    load_solvers(name)
    return name


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())
