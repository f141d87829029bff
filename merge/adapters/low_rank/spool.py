"""Arrays on their way into an adapter: appended to a file as they come, read back in another order."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...checkpoints.files import Buffer, ReadFile, WriteFile

if TYPE_CHECKING:
    from numpy.typing import NDArray


SPOOL = "factors"  # name of the file


class Spooled(NamedTuple):
    """Where an array lies in a spool."""

    shape: tuple[int, ...]
    start: int
    nbytes: int


class Spool:
    """A file of arrays; several threads may append to it at once.

    Args:
        path: The file. Whoever made its folder removes it.
    """

    def __init__(self, path: Path) -> None:
        self._writing, self._reading = WriteFile(path, 0), ReadFile(path, str(path))
        self._lock = threading.Lock()
        self.nbytes = 0

    def append(self, array: NDArray[Any]) -> Spooled:
        """Write an array behind the others.

        Raises:
            MergeError: The disk is full.
        """
        import numpy as np

        raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        with self._lock:
            start, self.nbytes = self.nbytes, self.nbytes + raw.nbytes
        self._writing.write(start, raw.data)
        return Spooled(tuple(array.shape), start, raw.nbytes)

    def read_into(self, spooled: Spooled, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with an array's bytes from this byte offset within it."""
        self._reading.read_into(spooled.start + offset, buffer)

    def close(self) -> None:
        """Close the file."""
        self._writing.close()
        self._reading.close()
