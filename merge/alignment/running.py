"""A module run again and again while its units are moved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import MergeError
from .trials import difference

if TYPE_CHECKING:
    from torch import Tensor

    from .derive.trace import Inputs
    from .trials import Outputs


def runner(module: Any, run: Callable[[], Any] | Inputs, precision: str) -> Callable[[], Outputs]:
    """Return what runs a module and gives its outputs as a sequence of tensors."""
    import torch

    from .derive.trace import forget, plain_attention, single

    def cast(tensor: Tensor) -> Tensor:
        return tensor.to(getattr(torch, precision)) if tensor.is_floating_point() else tensor

    def given() -> Outputs:
        if callable(run):
            found = run()
        elif isinstance(run, Mapping):
            found = module(**{name: cast(tensor) for name, tensor in run.items()})
        else:
            found = module(*map(cast, run))
        found = single(found)
        return [found] if isinstance(found, torch.Tensor) else list(found)

    def run_plainly() -> Outputs:
        forget(module)
        with plain_attention():
            return given()

    return run_plainly


def expected_outputs(run: Callable[[], Outputs], tolerance: float) -> Outputs:
    """Return the outputs before anything moves. Raises MergeError when they prove nothing."""
    outputs = run()
    if not outputs or any(not bool(one.isfinite().all()) for one in outputs):
        raise MergeError("the model's outputs are not finite, so that nothing can be proven about groups")
    if any(float(one.abs().max()) == 0 for one in outputs):
        raise MergeError("the model's outputs are zero, so that nothing can be proven about groups")
    if difference(outputs, run()) > tolerance:
        raise MergeError("the model gives other outputs each time, so that nothing can be proven about groups")
    return outputs
