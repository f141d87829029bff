"""Task vectors far smaller than the weights: sums in float32 and one rounding give the nearest number of the type."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from in_memory import merge_states
from registry_cases import METHODS, ORDERED, model_count, needs_base, state

TYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
SIZE = 100_000


def ulps(found: torch.Tensor, exact: np.ndarray) -> np.ndarray:
    """Return how many steps of its type a tensor is away from numbers in float64, half of one at best."""
    above = torch.nextafter(found.abs(), torch.tensor(float("inf"), dtype=found.dtype)).double()
    steps = (above - found.abs().double()).numpy()
    return np.abs(found.double().numpy() - exact) / steps


def tuned(dtype: torch.dtype, size: float, count: int = 3) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return a base around 1, and models that differ from it by a few steps of the type where they do at all."""
    generator = torch.Generator().manual_seed(0)
    base = (torch.randn(SIZE, generator=generator, dtype=torch.float64) + 3).to(dtype)
    step = torch.finfo(dtype).eps * base.double()
    models = []
    for _ in range(count):
        update = torch.round(torch.randn(SIZE, generator=generator, dtype=torch.float64) * size) * step
        models.append((base.double() + update).to(dtype))
    return base, models


@pytest.mark.parametrize("size", [0.5, 3.0])
@pytest.mark.parametrize("dtype", TYPES)
def test_task_arithmetic_is_the_float64_oracle_to_one_rounding(dtype: str, size: float) -> None:
    """Differences of neighbouring numbers are exact; what is left is the one rounding at the end."""
    base, models = tuned(TYPES[dtype], size)
    start = base.double().numpy()
    weights = [0.7, -0.4, 1.1]
    exact = start + sum(w * (model.double().numpy() - start) for w, model in zip(weights, models, strict=True))
    found = merge_states("task-arithmetic", [{"w": model} for model in models], {"w": base}, weights=weights, scale=1.0)
    assert ulps(found["w"], exact).max() <= 0.501
    assert (found["w"] != base).double().mean() > 0.2


@pytest.mark.parametrize("dtype", ["BF16", "F16"])
def test_updates_of_float32_models_survive_until_the_one_rounding(dtype: str) -> None:
    """Many updates, each far below a step of the type, add up above it; rounding after each would lose them all."""
    generator = torch.Generator().manual_seed(1)
    base = (torch.rand(SIZE, generator=generator) + 1).to(TYPES[dtype])
    update = torch.finfo(TYPES[dtype]).eps / 8
    models = [{"w": base.float() + update} for _ in range(16)]
    found = merge_states("task-arithmetic", models, {"w": base}, weights=[1.0] * 16, scale=1.0, dtype=dtype)["w"]
    exact = base.double().numpy() + sum(model["w"].double().numpy() - base.double().numpy() for model in models)
    assert ulps(found, exact).max() <= 0.501
    assert ((found.double() - base.double()) >= 8 * update).all()


# Of updates that are equally large, and in 16 bits there are many, magmax takes the first model's.
SYMMETRIC = [(name, dtype) for name in METHODS for dtype in ("BF16", "F32") if name not in ORDERED]
SYMMETRIC.remove(("magmax", "BF16"))


@pytest.mark.parametrize(("method", "dtype"), SYMMETRIC)
def test_the_order_of_the_models_changes_at_most_one_rounding(method: str, dtype: str) -> None:
    """Sums in another order differ in the accumulator's last bits, which one rounding makes a step at most."""
    accumulator = torch.float32 if dtype == "BF16" else torch.float64
    models = [state(seed, TYPES[dtype]) for seed in range(model_count(method, 3))]
    base = state(9, TYPES[dtype]) if needs_base(method) else None
    one, *others = (merge_states(method, order, base) for order in (models, models[::-1], [*models[1:], models[0]]))
    for other in others:
        for name, tensor in one.items():
            below = 100 * torch.finfo(accumulator).eps  # of numbers around 1 that cancel
            step = 1.01 * torch.finfo(TYPES[dtype]).eps
            torch.testing.assert_close(other[name].double(), tensor.double(), rtol=step, atol=below)
