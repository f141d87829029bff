"""Products of large matrices in float64, to the same bits for any number of threads, or on the GPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.floating[Any]]
    Doubles = NDArray[np.float64]

ROWS = 512  # of the first matrix that one thread multiplies at a time; fixed, so that it decides every rounding
COLUMNS = 4096  # that are turned into float64 at a time
LARGE = 10**10  # operations from which on a GPU is looked for
_device: ContextVar[str | None] = ContextVar("device", default=None)


@contextmanager
def products_on(device: str) -> Iterator[None]:
    """Let large products within run on this torch device; elsewhere they take to a GPU where there is one."""
    before = _device.set(device)
    try:
        yield
    finally:
        _device.reset(before)


@contextmanager
def one_thread_per_product() -> Iterator[None]:
    """Let every product within run in the thread that asks for it: several threads round otherwise than one."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


def add_products(total: Doubles, one: Numbers, other: Numbers) -> None:
    """Add the inner products of all rows of two matrices, in place, in float64 throughout.

    Args:
        total: [rows of the one, rows of the other].
        one: [rows, columns] of any floating type.
        other: [rows, columns].
    """
    if one.shape[0] * other.shape[0] * one.shape[1] * 2 >= LARGE and (device := _gpu()) is not None:
        add_on_gpu(total, one, other, device)
        return
    starts = range(0, len(one), ROWS)
    if len(starts) == 1:
        _add_on_cpu(total, one, other, None)
        return
    with ThreadPoolExecutor(_processors()) as pool:
        _add_on_cpu(total, one, other, pool)


def _add_on_cpu(total: Doubles, one: Numbers, other: Numbers, pool: ThreadPoolExecutor | None) -> None:
    import numpy as np

    for first in range(0, one.shape[1], COLUMNS):
        columns = slice(first, first + COLUMNS)
        second = other[:, columns].astype(np.float64)

        def add(start: int, columns: slice = columns, second: Doubles = second) -> None:
            rows = slice(start, start + ROWS)
            total[rows] += one[rows, columns].astype(np.float64) @ second.T

        for _ in (pool.map if pool else map)(add, range(0, len(one), ROWS)):
            pass


def add_on_gpu(total: Doubles, one: Numbers, other: Numbers, device: str) -> None:
    """Do the same by torch on a device."""
    import torch

    there = torch.zeros(total.shape, dtype=torch.float64, device=device)
    for first in range(0, one.shape[1], COLUMNS):
        pair = (torch.from_numpy(array[:, first : first + COLUMNS].copy()).to(device) for array in (one, other))
        here, second = (part.double() for part in pair)
        there.addmm_(here, second.T)
    total += there.cpu().numpy()


def _gpu() -> str | None:
    import torch

    wanted = _device.get() or ("cuda" if torch.cuda.is_available() else "cpu")
    return None if wanted == "cpu" else wanted


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
