"""The type that a network computes in; weights and scores stay float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .task import Precision


def lower_precision(device: str, precision: Precision) -> AbstractContextManager[Any]:
    """Return the context in which torch computes matrix products in bfloat16 where that is asked for."""
    import torch

    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.partition(":")[0], dtype=torch.bfloat16)
