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
    """A segment in memory or on its way, how many of its bytes nobody has read yet, and how many are reading it."""

    data: Future[Buffer]
    left: int
    readers: int = 0
    is_gone: bool = False


class Window:
    """Serves bytes of a checkpoint from segments that requests bring.

    Args:
        course: The segments in the order of reading.
        fetch: Brings one; called from any thread.
        most: Bytes of the largest segment.
        room: Bytes that may be held; more only while they are waited for.
        again: Whether segments will be read more than once, so that they are kept on the disk.
        give: Takes back what ``fetch`` returned, when nobody needs it any more.
    """

    def __init__(
        self,
        course: Course,
        fetch: Fetch,
        *,
        most: int,
        room: int,
        again: bool,
        give: Callable[[Buffer], None] = lambda data: None,
    ) -> None:
        self._course, self._fetch, self._again, self._give = course, fetch, again, give
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
            held = self._take(number)
            if held is None:
                self._spool.read_into(number, begin, part)
            else:
                self._copy(held, number, begin, part)
            done += len(part)

    def _copy(self, held: _Held, number: int, begin: int, part: Buffer) -> None:
        count = 0
        try:
            part[:] = held.data.result()[begin : begin + len(part)]
            count = len(part)
        finally:
            self._release(held, number, count)

    def _take(self, number: int) -> _Held | None:
        """Return a segment to read and send for those that follow; None for one that is on the disk."""
        with self._lock:
            if number not in self._held and number in self._spool:
                return None
            self._used.discard(number)
            held = self._ask(number)
            held.readers += 1
            self._ask_ahead(number)
            self._held.move_to_end(number)
            self._make_room()
            return held

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

    def _ask(self, number: int) -> _Held:
        held = self._held.get(number)
        if held is None:
            segment = self._course.segments[number]
            held = self._held[number] = _Held(request_pool().submit(self._bring, number, segment), segment.nbytes)
        return held

    def _bring(self, number: int, segment: Segment) -> Buffer:
        data = self._fetch(segment)
        if self._again:
            self._spool.put(number, data)
        return data

    def _release(self, held: _Held, number: int, count: int) -> None:
        """Let a segment go when all of it has been read."""
        with self._lock:
            held.left -= count
            held.readers -= 1
            if held.left <= 0 and self._held.get(number) is held:
                del self._held[number]
                self._used.add(number)
                held.is_gone = True
            if held.is_gone and not held.readers and not held.data.exception():
                self._give(held.data.result())

    def _make_room(self) -> None:
        """Move segments that were read in part, the longest untouched first, to the disk."""
        held = sum(self._course.segments[number].nbytes for number in self._held)
        for number in [*self._held]:
            if held <= self._room:
                return
            found, nbytes = self._held[number], self._course.segments[number].nbytes
            if found.readers or found.left >= nbytes or not found.data.done() or found.data.exception():
                continue
            self._spool.put(number, found.data.result())
            self._give(self._held.pop(number).data.result())
            held -= nbytes

    def close(self) -> None:
        """Forget everything; what is on its way is not waited for."""
        with self._lock:
            for held in self._held.values():
                held.data.cancel()
            self._held.clear()
        self._spool.close()
