"""What is in a checkpoint: tensors, types, metadata and, from a stream of pieces, norms and extremes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from .checkpoints.checkpoint import OUR_KEY, FileCheckpoint, Source
from .checkpoints.header import TensorInfo
from .checkpoints.resolve import open_checkpoint
from .diffusion.families import described
from .documents import InspectDocument, TensorSummary
from .dtypes import DTYPES, numpy_dtype

PIECE_ELEMENTS = 2**20


def inspect(location: str, *, values: bool) -> InspectDocument:
    """Describe a checkpoint.

    Args:
        location: The checkpoint.
        values: Whether to read the weights for norms and extremes; otherwise headers only.

    Raises:
        MergeError: When it cannot be read.
    """
    opened = open_checkpoint(location)
    try:
        tensors = list(opened.tensors.values())
        return {
            "model": opened.location,
            "family": described(opened.tensors),
            "files": [identity.name for identity in opened.identities if identity.size],  # the others are marks
            "metadata": dict(opened.metadata),
            "content_id": opened.metadata.get(OUR_KEY),
            "parameters": sum(t.elements for t in tensors if DTYPES[t.dtype].kind == "float"),
            "bytes": sum(tensor.nbytes for tensor in tensors),
            "dtypes": dict(Counter(tensor.dtype for tensor in tensors)),
            "tensors": [_summary(opened, tensor, values) for tensor in tensors],
            "notes": opened.notes,
        }
    finally:
        opened.close()


def _summary(opened: FileCheckpoint, tensor: TensorInfo, values: bool) -> TensorSummary:
    found: TensorSummary = {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "l2_norm": None,
        "mean": None,
        "minimum": None,
        "maximum": None,
        "zeros": None,
        "nonfinite": None,
    }
    if not values or DTYPES[tensor.dtype].kind != "float" or not tensor.nbytes:
        return found
    import numpy as np

    squares = total = 0.0
    low, high = math.inf, -math.inf
    zeros = nonfinite = finite = 0
    for (piece,) in pieces([(opened, tensor)]):
        good = piece[np.isfinite(piece)]
        nonfinite += len(piece) - len(good)
        zeros += int(len(good) - np.count_nonzero(good))
        if len(good):
            finite += len(good)
            squares += float(np.dot(good, good))
            total += float(good.sum())
            low, high = min(low, float(good.min())), max(high, float(good.max()))
    found |= {"zeros": zeros, "nonfinite": nonfinite}
    if finite:
        found |= {"l2_norm": math.sqrt(squares), "mean": total / finite, "minimum": low, "maximum": high}
    return found


def pieces(inputs: Sequence[tuple[Source, TensorInfo]], elements: int = PIECE_ELEMENTS) -> Iterator[list[Any]]:
    """Yield the same elements of several tensors of one shape, in float64, at most so many at a time."""
    import numpy as np

    count = inputs[0][1].elements
    for start in range(0, count, elements):
        size = min(elements, count - start)
        arrays = []
        for opened, tensor in inputs:
            kind = numpy_dtype(tensor.dtype)
            raw = bytearray(size * kind.itemsize)
            opened.read_into(tensor, start * kind.itemsize, memoryview(raw))
            with np.errstate(invalid="ignore"):  # signalling NaN are told of by numbers, not by a warning
                arrays.append(np.frombuffer(raw, kind).astype(np.float64))
        yield arrays
