"""Models for the tests of the GPU path, and how its outcome is compared with the CPU's."""

from __future__ import annotations

import torch
from checkpoint_files import equal_bits
from registry_cases import APPROXIMATE, METHODS, model_count, needs_base

from merge.registry import find_method

MATRIX_METHODS = ("tsv-m", "iso-c", "iso-cts")
SUMMED = {*APPROXIMATE, *MATRIX_METHODS}  # the last bits of sums are another order's
State = dict[str, torch.Tensor]


def _models(method: str, dtype: torch.dtype, shapes: dict[str, tuple[int, ...]]) -> tuple[State | None, list[State]]:
    generator = torch.Generator().manual_seed(11)
    if find_method(method).uses_place:
        shapes = {f"layers.{number}.{name}": shape for number, (name, shape) in enumerate(shapes.items())}

    def make(spread: float) -> State:
        return {
            name: (torch.randn(shape, generator=generator, dtype=torch.float64) * spread).to(dtype)
            for name, shape in shapes.items()
        }

    base = make(1.0)
    models = [
        {name: (base[name].double() + tensor.double()).to(dtype) for name, tensor in make(0.1).items()}
        for _ in range(model_count(method, 3))
    ]
    return (base if needs_base(method) else None), models


def vectors(method: str, dtype: torch.dtype) -> tuple[State | None, list[State]]:
    """Return a base or None, and models of a vector of several blocks, one of a few entries, and a scalar."""
    return _models(method, dtype, {"long": (150_001,), "short": (17,), "scalar": ()})


def matrices(method: str, dtype: torch.dtype) -> tuple[State | None, list[State]]:
    """Return the same of matrices, and of a bias."""
    return _models(method, dtype, {"wide": (24, 40), "tall": (40, 24), "bias": (24,)})


def alike(method: str, found: State, wanted: State) -> None:
    """Assert the same bits, or neighbours in the type where the last bits of sums differ."""
    assert sorted(found) == sorted(wanted)
    for name, tensor in wanted.items():
        if method not in SUMMED:
            assert equal_bits(found[name], tensor), name
            continue
        step = torch.finfo(tensor.dtype).eps
        largest = float(tensor.abs().max()) if tensor.numel() else 0.0
        near = {"rtol": step, "atol": largest * max(step / 64, 1e-6 if tensor.dtype != torch.float64 else 1e-12)}
        torch.testing.assert_close(found[name].double(), tensor.double(), **near)


assert set(MATRIX_METHODS) <= set(METHODS)
