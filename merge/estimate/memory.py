"""How much memory a process of a merge needs: the program, the plan, and the buffers of every thread."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from ..checkpoints.links import is_disk
from ..dtypes import DTYPES
from ..plan import Plan
from ..planning.rows import Row
from ..program import Call, Input, calls
from ..streaming.backends import has_matrices
from ..streaming.evaluation import accumulator_of
from ..streaming.pieces import BLOCK_ELEMENTS, band, moves_bytes, portion, unit

PROGRAM_BYTES = 45 * 10**6  # a Python with numpy
TORCH_BYTES = 220 * 10**6  # more, where torch is imported
ROW_BYTES, TENSOR_BYTES = 1500, 450  # of a plan, by output tensor and by input tensor
ROUNDS_BYTES = 14 * 10**6  # of numpy's arrays, where methods look at tensors before they merge them: measured with TIES
TRANSFER_BYTES = 64 * 2**20  # what is on its way from places elsewhere, all of them together
WORKING_COPIES = 6  # arrays that a method over rows or matrices makes besides its inputs: measured with iso-c


class Memory(NamedTuple):
    """Bytes of main memory that one process needs.

    Attributes:
        program: Python, its libraries, and the plan.
        per_thread: Buffers and arrays of one thread.
        threads: How many there are.
        whole: Bytes of the largest tensor that a method needs as a whole, in all models; 0 where none does.
    """

    program: int
    per_thread: int
    threads: int
    whole: int = 0

    @property
    def total(self) -> int:
        """Return what one process needs."""
        return self.program + self.per_thread * self.threads


def memory_of(plan: Plan, links: list[str], device: str, threads: int, chunk_elements: int) -> Memory:
    """Estimate the memory of one process.

    Args:
        plan: The plan.
        links: Through what every source is read.
        device: ``cpu`` or ``cuda``.
        threads: Threads of the process.
        chunk_elements: 16-bit elements of a chunk.
    """
    program = PROGRAM_BYTES + (TORCH_BYTES if device != "cpu" or has_matrices(plan) else 0)
    program += ROW_BYTES * len(plan.rows) + TENSOR_BYTES * sum(len(source.tensors) for source in plan.sources)
    if any(call.reductions for row in _distinct(plan) for call in calls(row.expression or Input(0))):
        program += ROUNDS_BYTES
    if any(link and not is_disk(link) for link in links):
        program += TRANSFER_BYTES
    buffers = {_shape_of(row): row for row in plan.rows}
    per_thread = max((_thread_bytes(row, chunk_elements) for row in buffers.values()), default=0)
    whole = [sum(tensor.nbytes for tensor in row.tensors if tensor) for row in buffers.values() if _is_whole(row)]
    return Memory(program, per_thread, threads, max(whole, default=0))


def _distinct(plan: Plan) -> Iterable[Row]:
    """Return one row of each expression."""
    return {id(row.expression): row for row in plan.rows}.values()


def _shape_of(row: Row) -> object:
    """Return what decides about the buffers of a row, so that equal rows are looked at once."""
    types = tuple([tensor.dtype if tensor else "" for tensor in row.tensors])
    return row.shape, row.dtype, id(row.expression), types, bool(row.asides), row.scales and row.scales.block


def _is_whole(row: Row) -> bool:
    return portion(row) == "whole"


def _thread_bytes(row: Row, chunk_elements: int) -> int:
    """Return the bytes of a thread's buffers and arrays while it computes a row."""
    widths = [DTYPES[tensor.dtype].bits / 8 for tensor in row.tensors if tensor]
    if moves_bytes(row):
        return int(2 * chunk_elements * len(widths))
    whole_rows = max(1, math.prod(row.shape))
    most = int(max(1, chunk_elements * 2 // max(widths) // BLOCK_ELEMENTS)) * BLOCK_ELEMENTS
    flat = portion(row) == "flat"
    step = max(BLOCK_ELEMENTS if flat else unit(row), band(row))
    chunk = min(whole_rows, max(1, most // step) * step)
    computed = DTYPES[accumulator_of(row)].bits / 8 if row.scales else 0  # from which it is quantised
    raw = chunk * (sum(widths) + DTYPES[row.dtype].bits / 8 + computed)
    block = min(chunk, BLOCK_ELEMENTS) if flat else min(chunk, max(BLOCK_ELEMENTS, unit(row)))
    copies = len(widths) + (1 if flat else WORKING_COPIES)
    arrays = block * copies * DTYPES[accumulator_of(row)].bits / 8
    return int(raw + arrays) + _aside_bytes(row)


def _aside_bytes(row: Row) -> int:
    """Return the bytes of statistics that are read as a whole: as they are, and as float64."""
    wide = [tensor.nbytes + 8 * tensor.elements for _, tensor in row.asides]
    return sum(wide) if isinstance(row.expression, Call) else 0
