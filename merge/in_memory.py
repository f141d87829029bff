"""Runs a plan without writing a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .checkpoints.writer import MemorySink
from .dtypes import numpy_dtype, torch_dtype
from .engine import Outcome, RunSettings, run
from .planning.layout import nbytes_of
from .planning.requantising import without_scales

if TYPE_CHECKING:
    from .plan import Plan


def run_in_memory(
    plan: Plan, settings: RunSettings | None = None, *, as_torch: bool = True
) -> tuple[dict[str, Any], Outcome]:
    """Run a plan and return its tensors by name, in no particular order, with what the run established.

    Args:
        plan: The plan; the output path in it has no meaning here.
        settings: How to run it.
        as_torch: Whether torch tensors are wanted, else numpy arrays.

    Raises:
        MergeError: The merge fails.
    """
    plan = without_scales(plan)
    sink = MemorySink(plan.files)
    outcome = run(plan, sink, settings or RunSettings())
    plan.check_identities(outcome.input_ids)
    rows = [row for row in plan.rows if row.action != "check"]
    raw = {row.name: sink.bytes_of(row, nbytes_of(row.dtype, row.shape)) for row in rows}
    return {row.name: array_of(raw[row.name], row.dtype, row.shape, as_torch=as_torch) for row in rows}, outcome


def array_of(raw: memoryview, dtype: str, shape: tuple[int, ...], *, as_torch: bool) -> Any:
    """Return a copy of bytes as a torch tensor or a numpy array of a safetensors type and shape."""
    import numpy

    if not as_torch:
        return numpy.frombuffer(bytearray(raw), numpy_dtype(dtype)).reshape(shape)
    import torch

    if not len(raw):
        return torch.empty(shape, dtype=torch_dtype(dtype))
    return torch.frombuffer(bytearray(raw), dtype=torch_dtype(dtype)).reshape(shape)
