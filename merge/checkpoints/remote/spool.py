"""Segments that will be read again, in a nameless file on this machine's disk."""

from __future__ import annotations

import tempfile
import threading
from typing import IO

from ..files import Buffer


class Spool:
    """Keeps segments by their number until it is closed. Without room on the disk it keeps no more."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._places: dict[int, tuple[int, int]] = {}  # where, and how many bytes
        self._free: list[tuple[int, int]] = []
        self._end = 0
        self._lock = threading.Lock()
        self._is_full = False

    def __contains__(self, number: int) -> bool:
        return number in self._places

    def put(self, number: int, data: Buffer) -> None:
        """Keep a segment, where there is room."""
        with self._lock:
            if self._is_full or number in self._places:
                return
            place = next((free for free in self._free if free[1] == len(data)), (self._end, len(data)))
            try:
                if self._file is None:
                    self._file = tempfile.TemporaryFile(prefix="merge-", buffering=0)  # noqa: SIM115 - lives on
                self._file.seek(place[0])
                _write_all(self._file, data)
            except OSError:
                self._is_full = True
                return
            self._places[number] = place
            if place in self._free:
                self._free.remove(place)
            else:
                self._end += len(data)

    def forget(self, number: int) -> None:
        """Let the place of a segment be used again."""
        with self._lock:
            self._free.append(self._places.pop(number))

    def read_into(self, number: int, offset: int, buffer: Buffer) -> None:
        """Fill the buffer from a segment that is kept. Raises OSError when the disk fails."""
        with self._lock:
            if self._file is None:
                raise OSError("the spool is closed")
            self._file.seek(self._places[number][0] + offset)
            done = 0
            while done < len(buffer):
                count = self._file.readinto(buffer[done:])  # type: ignore[attr-defined]
                if not count:
                    raise OSError("the spool became shorter")
                done += count

    def close(self) -> None:
        """Give the disk back."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
            self._places.clear()


def _write_all(file: IO[bytes], data: Buffer) -> None:
    done = 0
    while done < len(data):
        done += file.write(data[done:])
