"""Counts bytes and seconds of one kind of work that several threads do at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Spent(NamedTuple):
    """What one kind of work took.

    Attributes:
        nbytes: Bytes moved.
        seconds: Over all threads together.
        busy: Seconds in which at least one thread was at it; bytes over these are the rate of what they wait for.
    """

    nbytes: int = 0
    seconds: float = 0.0
    busy: float = 0.0

    def beside(self, other: Spent) -> Spent:
        """Return what two processes took that worked at the same time."""
        return Spent(self.nbytes + other.nbytes, self.seconds + other.seconds, max(self.busy, other.busy))

    def since(self, earlier: Spent) -> Spent:
        """Return what was spent after an earlier look at the same meter."""
        return Spent(self.nbytes - earlier.nbytes, self.seconds - earlier.seconds, self.busy - earlier.busy)


class Meter:
    """Counts; every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at_it, self._since = 0, 0.0
        self._nbytes, self._seconds, self._busy = 0, 0.0, 0.0

    def begin(self) -> float:
        """Note that a thread begins; return when."""
        with self._lock:
            now = time.perf_counter()
            if not self._at_it:
                self._since = now
            self._at_it += 1
            return now

    def end(self, began: float, nbytes: int) -> float:
        """Note that a thread which began then is through with so many bytes; return the seconds that it took."""
        with self._lock:
            now = time.perf_counter()
            self._at_it -= 1
            if not self._at_it:
                self._busy += now - self._since
            self._nbytes += nbytes
            self._seconds += now - began
            return now - began

    @contextmanager
    def timed(self, nbytes: int) -> Iterator[None]:
        """Count what is done inside a ``with`` block; bytes only where it succeeds."""
        began, moved = self.begin(), 0
        try:
            yield
            moved = nbytes
        finally:
            self.end(began, moved)

    def spent(self) -> Spent:
        """Return what was counted so far."""
        with self._lock:
            running = time.perf_counter() - self._since if self._at_it else 0.0
            return Spent(self._nbytes, self._seconds, self._busy + running)
