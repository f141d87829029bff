"""Write a safetensors file whose bytes depend on nothing but its content.

The format's own library writes metadata in an order that changes from run to run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..checkpoints.header import render_entries, render_header
from ..checkpoints.space import check_space
from ..errors import MergeError

if TYPE_CHECKING:
    from torch import Tensor

_CODES = {"float32": "F32", "float64": "F64", "int64": "I64"}
_BYTES = {"float32": 4, "float64": 8, "int64": 8}


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], dtype: str) -> None:
    """Write tensors in the order of their names, wider types first.

    Args:
        path: The file.
        tensors: Of any floating type, on any device; counts, which are int64, stay that.
        metadata: The file's metadata.
        dtype: Type in which the others are stored: ``float32`` or ``float64``.

    Raises:
        MergeError: The file cannot be written, or a finite number becomes infinite in that type.
    """
    types = {name: dtype if tensor.is_floating_point() else "int64" for name, tensor in tensors.items()}
    names, position, slots = sorted(tensors, key=lambda name: (-_BYTES[types[name]], name)), 0, []
    for name in names:
        stop = position + tensors[name].numel() * _BYTES[types[name]]
        slots.append((name, _CODES[types[name]], tuple(tensors[name].shape), position, stop))
        position = stop
    check_space(path, position)
    try:
        with path.open("wb") as file:
            file.write(render_header(render_entries(slots), dict(metadata)))
            for name in names:
                file.write(_raw(name, tensors[name], types[name]))
    except OSError as error:
        raise MergeError(f"cannot write the statistics: {error.strerror}", where=str(path.parent)) from None


def _raw(name: str, tensor: Tensor, dtype: str) -> memoryview:
    import torch

    stored = tensor.detach().to("cpu", getattr(torch, dtype)).contiguous()
    if not torch.isfinite(stored).all():
        raise MergeError(f"the statistics of '{name}' do not fit into {dtype}", hint="try --dtype float64")
    return stored.reshape(-1).view(torch.uint8).numpy().data
