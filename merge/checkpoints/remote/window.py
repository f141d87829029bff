"""The segments of a checkpoint that are in memory or on their way: fetched once, ahead of the reading, then let go."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from ..files import Buffer
from .requests import request_pool
from .segments import Course, Segment
from .spool import Spool

AHEAD = 3  # full segments that are fetched before they are asked for
MOST_AHEAD = 12  # segments, where they are small

Fetch = Callable[[Segment], Buffer]


@dataclass
class _Held:
    """A segment in memory or on its way, and how many of its bytes nobody has read yet."""

    data: Future[Buffer]
    left: int


class Window:
    """Serves bytes of a checkpoint from segments that requests bring.

    Args:
        course: The segments in the order of reading.
        fetch: Brings one; called from any thread.
        most: Bytes of the largest segment.
        room: Bytes that may be held; more only while they are waited for.
        again: Whether segments will be read more than once, so that they are kept on the disk.
    """

    def __init__(self, course: Course, fetch: Fetch, *, most: int, room: int, again: bool) -> None:
        self._course, self._fetch, self._again = course, fetch, again
        self._most, self._room = most, room
        self._held: OrderedDict[int, _Held] = OrderedDict()
        self._used: set[int] = set()
        self._spool = Spool()
        self._lock = threading.Lock()

    def read_into(self, file: int, position: int, buffer: Buffer) -> None:
        """Fill the buffer from this position of a file.

        Raises:
            MergeError: It cannot be read.
        """
        done = 0
        while done < len(buffer):
            number = self._course.find(file, position + done)
            segment = self._course.segments[number]
            begin = position + done - segment.start
            part = buffer[done : done + segment.nbytes - begin]
            data = self._take(number)
            if data is None:
                self._spool.read_into(number, begin, part)
            else:
                part[:] = data.result()[begin : begin + len(part)]
                self._release(number, len(part))
            done += len(part)

    def _take(self, number: int) -> Future[Buffer] | None:
        """Return a segment and send for those that follow; None for one that is on the disk."""
        with self._lock:
            if number not in self._held and number in self._spool:
                return None
            self._used.discard(number)
            data = self._ask(number)
            self._ask_ahead(number)
            self._held.move_to_end(number)
            self._make_room()
            return data

    def _ask_ahead(self, number: int) -> None:
        if number >= self._course.expected:  # what follows may never be read
            return
        ahead = 0
        for other in range(number + 1, min(number + 1 + MOST_AHEAD, self._course.expected)):
            ahead += self._course.segments[other].nbytes
            if ahead > AHEAD * self._most:
                return
            if other not in self._used and other not in self._spool:
                self._ask(other)

    def _ask(self, number: int) -> Future[Buffer]:
        held = self._held.get(number)
        if held is None:
            segment = self._course.segments[number]
            held = self._held[number] = _Held(request_pool().submit(self._bring, number, segment), segment.nbytes)
        return held.data

    def _bring(self, number: int, segment: Segment) -> Buffer:
        data = self._fetch(segment)
        if self._again:
            self._spool.put(number, data)
        return data

    def _release(self, number: int, count: int) -> None:
        """Let a segment go when all of it has been read."""
        with self._lock:
            held = self._held.get(number)
            if held is None:
                return
            held.left -= count
            if held.left <= 0:
                del self._held[number]
                self._used.add(number)

    def _make_room(self) -> None:
        """Move segments that were read in part, the longest untouched first, to the disk."""
        held = sum(self._course.segments[number].nbytes for number in self._held)
        for number in [*self._held]:
            if held <= self._room:
                return
            found, nbytes = self._held[number], self._course.segments[number].nbytes
            if found.data.done() and found.left < nbytes and not found.data.exception():
                self._spool.put(number, found.data.result())
                del self._held[number]
                held -= nbytes

    def close(self) -> None:
        """Forget everything; what is on its way is not waited for."""
        with self._lock:
            for held in self._held.values():
                held.data.cancel()
            self._held.clear()
        self._spool.close()
