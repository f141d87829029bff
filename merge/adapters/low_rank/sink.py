"""A sink that puts whole tensors together and hands each on when it is complete."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ...checkpoints.files import Buffer
from ...dtypes import numpy_dtype
from ...engine import Outcome, RunSettings, run
from ...errors import MergeError
from ...planning.layout import nbytes_of
from ...planning.rows import Row

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...plan import Plan

Take = Callable[[Row, "NDArray[Any]"], None]


class WholeSink:
    """Takes the outcome of a plan; of the rows that are wanted, collects the whole and hands it on.

    Rows are worked on in their order, so no more of them are held at a time than there are threads, and one.

    Args:
        rows: The plan's rows.
        wanted: Tells which are collected; the bytes of the others are dropped.
        take: Called with a row and its outcome in its shape, in the thread that wrote the last of it. It may be called
            from several threads at once.
    """

    def __init__(self, rows: Iterable[Row], wanted: Callable[[Row], bool], take: Take) -> None:
        written = [row for row in rows if row.action != "check" and 0 not in row.shape]
        self._rows = sorted(written, key=_place)
        self._places = [_place(row) for row in self._rows]
        self._wanted = {_place(row) for row in self._rows if wanted(row)}
        self._take = take
        self._begun: dict[tuple[int, int], NDArray[Any]] = {}
        self._missing: dict[tuple[int, int], int] = {}
        self._lock = threading.Lock()

    def write(self, row: Row, offset: int, buffer: Buffer) -> None:
        """Take bytes of a row, and of the rows that follow it when the buffer is longer."""
        number = bisect_right(self._places, _place(row)) - 1
        while len(buffer):
            row = self._rows[number]
            part = buffer[: nbytes_of(row.dtype, row.shape) - offset]
            if _place(row) in self._wanted:
                self._add(row, offset, part)
            else:
                self.pass_by(row, part)
            buffer, offset, number = buffer[len(part) :], 0, number + 1

    def pass_by(self, row: Row, part: Buffer) -> None:
        """See bytes of a row that is not collected; may be called from several threads at once."""

    def _add(self, row: Row, offset: int, part: Buffer) -> None:
        import numpy as np

        place, size = _place(row), nbytes_of(row.dtype, row.shape)
        with self._lock:
            if place not in self._begun:
                self._begun[place], self._missing[place] = np.empty(size, np.uint8), size
            whole = self._begun[place]
        whole[offset : offset + len(part)] = part
        with self._lock:  # counted after it is there: whoever makes the count complete finds everything
            self._missing[place] -= len(part)
            is_complete = self._missing[place] == 0
            if is_complete:
                del self._begun[place]
        if is_complete:
            self._take(row, whole.view(numpy_dtype(row.dtype)).reshape(row.shape))


def run_into(plan: Plan, sink: WholeSink, settings: RunSettings) -> Outcome:
    """Run a plan whose outcome an adapter is made of.

    Raises:
        MergeError: A tensor cannot be read or is not finite, which no flag allows here.
    """
    try:
        return run(plan, sink, settings)
    except MergeError as error:
        if error.hint is None or "--allow-nonfinite" not in error.hint:
            raise
        raise MergeError(error.what, where=error.where, hint="an adapter of it would hold such numbers too") from None


def _place(row: Row) -> tuple[int, int]:
    return row.file, row.begin
