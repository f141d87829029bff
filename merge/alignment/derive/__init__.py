"""Groups of units that may be reordered, found by walking through a traced model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..groups import Groups
from .collect import collect, reasons
from .naming import name_groups, uses
from .nesting import companions, parents
from .placing import place
from .trace import trace

if TYPE_CHECKING:
    from torch import Tensor

    from .trace import Inputs

__all__ = ["derive_groups"]


def derive_groups(module: Any, places: Mapping[str, Tensor], inputs: Inputs, where: str | None = None) -> Groups:
    """Find which units of a model may be reordered without changing what it computes.

    The model is traced, and followed operation by operation: which axes carry the same units, cut into factors where an
    operation cuts them. What nothing is known of is pinned, so that too little may be found, but nothing wrong.

    Args:
        module: A torch module; runs on the inputs in evaluation mode.
        places: Its parameters and buffers by the names that their tensors have in the checkpoint; tied ones under each.
        inputs: An example: tensors by argument name, or in order.
        where: The model, for messages.

    Returns:
        The groups, and why other axes stay as they are.

    Raises:
        MergeError: The model cannot be traced.
    """
    from .walk import Walk

    program = trace(module, inputs, where)
    walk = Walk()
    placed = place(program, module, places)
    walk.run(program.graph, placed.known)
    found = collect(placed.axes)
    within = companions(walk.values)
    groups = name_groups(found, parents(found, within), uses(walk.marks), placed.follow)
    return Groups(groups, reasons(placed.axes), "traced")
