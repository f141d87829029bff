"""When a GPU's memory does not suffice: how to tell, who waits for whom, and how much a block takes."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..dtypes import DTYPES, accumulator
from ..planning.rows import Row
from .pieces import portion

# Arrays of a block's size, beside its inputs, that a method holds at the same time: masks, votes and sums; orders of
# rows; factors of a decomposition and what it works in. Estimates, on the safe side: the allocator enforces the limit.
_WORKING = {"flat": 6, "rows": 8, "whole": 12}
_WORKING_STATISTICS = 4  # the statistics of one model, their sum, a scaled copy, a factor
_SIGNS = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUSOLVER_STATUS_ALLOC_FAILED")


class ShortageError(Exception):
    """A block needs more of the GPU's memory than may be used."""


def is_shortage(error: BaseException) -> bool:
    """Tell whether an error says that a GPU's memory did not suffice."""
    torch = sys.modules.get("torch")
    if isinstance(error, ShortageError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def bytes_needed(row: Row, entries: int) -> int:
    """Estimate how much of a GPU's memory it takes to compute some of a row's entries."""
    inputs = [DTYPES[tensor.dtype].bits // 8 for tensor in row.tensors if tensor]
    width = DTYPES[accumulator(tuple(tensor.dtype for tensor in row.tensors if tensor))].bits // 8
    statistics = max((math.prod(info.shape) for _, info in row.asides), default=0)
    arrays = len(inputs) + _WORKING[portion(row)]
    return entries * (sum(inputs) + width * arrays) + 8 * _WORKING_STATISTICS * statistics


class Room:
    """Memory that the workers of one GPU share.

    Args:
        limit: Bytes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._taken = 0
        self._changed = threading.Condition()

    @contextmanager
    def take(self, nbytes: int) -> Iterator[None]:
        """Wait until so many bytes are free, and hold them meanwhile.

        Raises:
            ShortageError: There are not so many, whoever waits.
        """
        if nbytes > self.limit:
            raise ShortageError(f"{nbytes} bytes are needed, {self.limit} may be used")
        with self._changed:
            self._changed.wait_for(lambda: self._taken + nbytes <= self.limit)
            self._taken += nbytes
        try:
            yield
        finally:
            with self._changed:
                self._taken -= nbytes
                self._changed.notify_all()
