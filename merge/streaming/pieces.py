"""Cut a plan's rows into pieces of work, the same for any number of threads and any chunk size.

A piece is what one worker does at a time and what the journal records. Small neighbours that lie side by side in
every input and in the output, and need the same arithmetic, form one span that is read and written as one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..dtypes import DTYPES
from ..method import Access
from ..planning.rows import Row
from ..program import Call, Expression, Input, is_positional

BLOCK_ELEMENTS = 2**16  # the unit of flat tensors
PIECE_ELEMENTS = 4 * 2**20  # a whole number of hash blocks for every width
SMALL_ELEMENTS = 2**15  # rows up to this size are joined with their neighbours


class Span(NamedTuple):
    """Elements ``start`` to ``stop`` of one row, or several whole rows that are processed as one.

    Attributes:
        first, last: Rows, the last one excluded.
        start, stop: Elements, counted from the first row's first; bytes for copies.
    """

    first: int
    last: int
    start: int
    stop: int


Piece = list[Span]
Numbered = tuple[int, Piece]


def width(row: Row) -> int:
    """Return the bytes per element of a row's output: 1 where bytes are only copied or hashed."""
    return 1 if moves_bytes(row) else DTYPES[row.dtype].bits // 8


def widest(row: Row) -> int:
    """Return the bytes per element of a row's widest input: 1 where bytes are only copied or hashed."""
    return 1 if moves_bytes(row) else max(DTYPES[tensor.dtype].bits // 8 for tensor in row.tensors if tensor)


def moves_bytes(row: Row) -> bool:
    """Tell whether a row only moves bytes: a copy without a cast, or a check."""
    if isinstance(row.expression, Call) or row.scales is not None:
        return False
    if row.expression is None:
        return True
    tensor = row.tensors[row.expression.source]
    return tensor is None or tensor.dtype == row.dtype


def elements(row: Row) -> int:
    """Return the number of elements of a row (bytes where bytes are only moved)."""
    if moves_bytes(row):
        return max(tensor.nbytes for tensor in row.tensors if tensor)
    return math.prod(row.shape)


def portion(row: Row) -> Access:
    """Return in which portions a row can be computed."""
    return row.expression.portion if isinstance(row.expression, Call) else "flat"


def unit(row: Row) -> int:
    """Return the entries of the smallest portion that a row is computed in; only the last one may be smaller."""
    access = portion(row)
    if access == "whole":
        return max(1, math.prod(row.shape))
    length = max(1, row.shape[-1] if row.shape else 1)
    smallest = BLOCK_ELEMENTS if access == "flat" else max(1, BLOCK_ELEMENTS // length) * length
    together = band(row)
    return smallest if together % smallest == 0 else together


def band(row: Row) -> int:
    """Return the entries of which a chunk has a whole number, so that its scales follow from it alone.

    Those are the rows of one row of blocks; of several matrices whose last blocks are cut off, one matrix.
    """
    if row.scales is None or row.scales.is_single:
        return 0
    rows, columns = (1, *row.shape)[-2:]
    height = row.scales.block[0]
    ragged = len(row.shape) > 2 and rows % height != 0
    return max(1, (rows if ragged else min(height, rows)) * columns)


def cut(rows: Sequence[Row]) -> list[Piece]:
    """Cut all rows into pieces, in their order. A row whose portions are not flat stays in one piece.

    No piece writes to two files, so that different processes can write them.
    """
    pieces: list[Piece] = [[]]
    room = PIECE_ELEMENTS
    for span in _spans(rows):
        start = span.start
        alone = span.last - span.first == 1 and rows[span.first].scales is None
        divisible = alone and portion(rows[span.first]) == "flat"
        if pieces[-1] and file_of(pieces[-1], rows) != file_of([span], rows):
            room = 0
        while start < span.stop:
            if room <= 0 or (room < PIECE_ELEMENTS and span.stop - start > room and span.last - span.first == 1):
                pieces.append([])  # a large row starts a piece, so that its pieces end at hash blocks
                room = PIECE_ELEMENTS
            stop = min(span.stop, start + PIECE_ELEMENTS) if divisible else span.stop
            pieces[-1].append(span._replace(start=start, stop=stop))
            room -= stop - start
            start = stop
    return [piece for piece in pieces if piece]


def file_of(piece: Piece, rows: Sequence[Row]) -> int | None:
    """Return the output file that a piece writes to, or None where it is only read."""
    row = rows[piece[0].first]
    return None if row.expression is None else row.file


def _spans(rows: Sequence[Row]) -> Iterator[Span]:
    """Yield whole rows, small neighbours joined; rows without elements are left out."""
    first, total = 0, 0
    positional = _Positional()
    for number, row in enumerate(rows):
        count = elements(row)
        joins = (
            0 < count <= SMALL_ELEMENTS
            and 0 < total < PIECE_ELEMENTS
            and total // max(number - first, 1) <= SMALL_ELEMENTS
            and _adjacent(rows[number - 1], row)
            and not positional.of(row.expression)
        )
        if not joins:
            if total:
                yield Span(first, number, 0, total)
            first, total = number, 0
        total += count
    if total:
        yield Span(first, len(rows), 0, total)


class _Positional:
    """Remembers the answer for the last expression, since neighbours mostly share theirs."""

    def __init__(self) -> None:
        self._last: tuple[Expression | None, bool] = (None, False)

    def of(self, expression: Expression | None) -> bool:
        if expression is not self._last[0]:
            self._last = (expression, expression is not None and is_positional(expression))
        return self._last[1]


def _adjacent(row: Row, following: Row) -> bool:
    """Tell whether two rows can be processed as one: the same arithmetic, side by side everywhere."""
    same = row.expression is following.expression and row.dtype == following.dtype and row.file == following.file
    if not same or following.expression is None or isinstance(following.expression, Input):
        return False
    if row.scales or following.scales or row.begin + math.prod(row.shape) * width(row) != following.begin:
        return False
    for tensor, next_tensor in zip(row.tensors, following.tensors, strict=True):
        if tensor is None or next_tensor is None:
            if tensor is not next_tensor:
                return False
        elif (
            tensor.start + tensor.nbytes != next_tensor.start
            or tensor.file != next_tensor.file
            or tensor.dtype != next_tensor.dtype
        ):
            return False
    return True
