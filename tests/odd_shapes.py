"""Random models with tensors of awkward shapes, and the comparison of a method with a reference in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from in_memory import merge_states

SHAPES = {"matrix": (37, 53), "vector": (11,), "scalar": (), "one": (1,), "column": (5, 1), "kernel": (3, 4, 3, 3)}
DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]

State = dict[str, torch.Tensor]
# Called with the base (None where there is none) and the models' tensors, all in float64.
Reference = Callable[[torch.Tensor | None, list[torch.Tensor]], torch.Tensor]


def random_models(count: int, dtype: torch.dtype, seed: int = 1) -> list[State]:
    generator = torch.Generator().manual_seed(seed)
    return [
        {name: torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for name, shape in SHAPES.items()}
        for _ in range(count)
    ]


def assert_equals_reference(
    method: str, reference: Reference, dtype: torch.dtype, *, models: int, base: bool, **more: Any
) -> None:
    """Merge random models and compare every tensor, up to one rounding of its type and those of the accumulator."""
    *inputs, start = random_models(models + 1, dtype)
    found = merge_states(method, inputs, start if base else None, **more)
    accumulator = torch.float64 if dtype.itemsize > 2 else torch.float32
    for name, tensor in found.items():
        assert tensor.dtype == dtype
        wide = [state[name].double() for state in inputs]
        wanted = reference(start[name].double() if base else None, wide)
        slack = 64 * torch.finfo(accumulator).eps * max(1.0, wanted.abs().max().item())
        torch.testing.assert_close(
            tensor.double(),
            wanted,
            rtol=torch.finfo(dtype).eps,
            atol=slack,
            msg=lambda text, name=name: f"{name}: {text}",
        )
