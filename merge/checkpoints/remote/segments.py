"""Which bytes one request asks for: neighbours that are read one after the other, or a part of a large tensor."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..header import TensorInfo


class Segment(NamedTuple):
    """Bytes ``start`` to ``stop`` of a file."""

    file: int
    start: int
    stop: int

    @property
    def nbytes(self) -> int:
        """How many there are."""
        return self.stop - self.start


def cut(tensors: Iterable[TensorInfo], most: int) -> list[Segment]:
    """Return segments in the order in which tensors are read, each once.

    Args:
        tensors: In that order.
        most: Bytes of the largest segment.
    """
    found: list[Segment] = []
    seen: set[tuple[int, int]] = set()
    for tensor in tensors:
        if not tensor.nbytes or (tensor.file, tensor.start) in seen:
            continue
        seen.add((tensor.file, tensor.start))
        stop = tensor.start + tensor.nbytes
        last = found[-1] if found else None
        if last and last.file == tensor.file and last.stop == tensor.start and stop - last.start <= most:
            found[-1] = last._replace(stop=stop)
            continue
        found += [Segment(tensor.file, at, min(stop, at + most)) for at in range(tensor.start, stop, most)]
    return found


class Course:
    """Segments in the order of reading, and which of them holds a byte.

    Args:
        expected: Tensors that will be read, in that order.
        others: All tensors; those that are not expected come last.
        most: Bytes of the largest segment.

    Attributes:
        segments: All segments.
        expected: How many of them, the first ones, are known to be read.
    """

    def __init__(self, expected: Sequence[TensorInfo], others: Sequence[TensorInfo], most: int) -> None:
        first = cut(expected, most)
        known = {(tensor.file, tensor.start) for tensor in expected}
        rest = cut((tensor for tensor in others if (tensor.file, tensor.start) not in known), most)
        self.segments, self.expected = first + rest, len(first)
        order = sorted(range(len(self.segments)), key=lambda number: self.segments[number])
        self._numbers = order
        self._starts = [self.segments[number][:2] for number in order]

    def find(self, file: int, position: int) -> int:
        """Return the number of the segment that holds a byte of a tensor."""
        return self._numbers[bisect_right(self._starts, (file, position)) - 1]
