"""Ranges of bytes out of blocks of whole rows, which are computed as they are asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import prod

from ..checkpoints.files import Buffer

BLOCK_ELEMENTS = 2**18  # of one block, at least one row; fixed, since it decides how products are rounded
LOADED = 4  # tensors whose factors are held in memory at once


def rows_of_block(shape: tuple[int, ...]) -> int:
    """Return the rows of a tensor's blocks; only the last one may have fewer."""
    return max(1, BLOCK_ELEMENTS // max(1, prod(shape[1:])))


class Blocks:
    """Reads ranges; every thread keeps the last block that it needed.

    Args:
        compute: Returns the bytes of a block, by the tensor's name and the block's number.
    """

    def __init__(self, compute: Callable[[str, int], Buffer]) -> None:
        self._compute = compute
        self._last = threading.local()

    def read_into(self, name: str, size: int, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with a tensor's bytes from this byte offset within it.

        Args:
            name: The tensor's.
            size: Bytes of a block.
            offset: Where the range begins.
            buffer: As long as the range.
        """
        done = 0
        while done < len(buffer):
            number, start = divmod(offset + done, size)
            part = self._block(name, number)[start:][: len(buffer) - done]
            buffer[done : done + len(part)] = part
            done += len(part)

    def _block(self, name: str, number: int) -> Buffer:
        """Return a block of a tensor: this thread's last one, or a new one."""
        known: tuple[str, int, Buffer] | None = getattr(self._last, "block", None)
        if known is not None and known[:2] == (name, number):
            return known[2]
        self._last.block = None  # so that no two blocks are held at once
        block = self._compute(name, number)
        self._last.block = (name, number, block)
        return block
