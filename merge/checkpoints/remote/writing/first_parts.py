"""The first part of every file, kept in a nameless temporary file until its header is known."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from typing import IO

from ....errors import MergeError


class FirstParts:
    """First parts by the position of their files; the temporary file is made with the first of them.

    Args:
        lengths: How long each is, in bytes.
    """

    def __init__(self, lengths: Sequence[int]) -> None:
        self._lengths = list(lengths)
        self._starts = [sum(self._lengths[:number]) for number in range(len(self._lengths))]
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()

    def keep(self, number: int, data: bytes | bytearray) -> None:
        """Keep one.

        Raises:
            MergeError: There is no room for it.
        """
        try:
            with self._lock:
                if self._file is None:
                    self._file = tempfile.TemporaryFile(prefix="merge-")  # noqa: SIM115 - closed by close
                self._file.seek(self._starts[number])
                self._file.write(data)
        except OSError as error:
            hint = "TMPDIR names another folder"
            raise MergeError(
                f"no room for the first part of a file: {error.strerror}", where=tempfile.gettempdir(), hint=hint
            ) from None

    def of(self, number: int) -> bytearray:
        """Return one that is kept."""
        assert self._file is not None  # noqa: S101 - it is kept
        with self._lock:
            self._file.seek(self._starts[number])
            return bytearray(self._file.read(self._lengths[number]))

    def close(self) -> None:
        """Give the room back."""
        if self._file is not None:
            self._file.close()
