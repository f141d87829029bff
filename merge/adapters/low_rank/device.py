"""Where matrices are factorised, and how many at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .factorising import EXACT_SIDE, Factors, factorise
from .truncation import Truncation

if TYPE_CHECKING:
    from numpy.typing import NDArray


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


class Factoriser:
    """Factorises matrices for any number of threads; a GPU works on one matrix at a time.

    Args:
        dtype: Format code of the factors' type.
        device: ``cpu``, or a GPU by torch's name.
    """

    def __init__(self, dtype: str, device: str) -> None:
        self._dtype, self._device = dtype, device
        self._one_at_a_time = threading.Lock()

    def __call__(self, matrix: NDArray[Any], truncation: Truncation, name: str) -> Factors | None:
        """Return the factors of a matrix [outputs, inputs], or None for one of zeros."""
        if self._device == "cpu":
            return factorise(matrix, truncation, name, dtype=self._dtype)
        with self._one_at_a_time:
            return factorise(matrix, truncation, name, dtype=self._dtype, device=self._device)
