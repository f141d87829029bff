"""Statistics for models that no data were run through: what the laws give to methods that need some."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import safe_open

from merge.recipe import Merge
from merge.registry import find_method

MOST_INPUTS = 100
PARTS = 3  # of every tensor, with coefficients of their own


def statistics_of(method: str, model: Any, number: int) -> dict[str, dict[str, torch.Tensor]]:
    """Return what the method needs of a model, drawn from the names of its tensors and its number."""
    kind = find_method(method).statistics
    if not kind:
        return {}
    make = {"fisher": _information, "gram": _gram, "coefficients": _coefficients}[kind]
    found = {name: make(shape, f"{name} {number}") for name, shape in _shapes(model).items() if math.prod(shape)}
    return {kind: {name: tensor for name, tensor in found.items() if tensor is not None}}


def _shapes(model: Any) -> Mapping[str, tuple[int, ...]]:
    if isinstance(model, Merge):
        return _shapes(model.models[0].model)
    if isinstance(model, Mapping):
        return {name: tuple(tensor.shape) for name, tensor in model.items() if tensor.is_floating_point()}
    with safe_open(model, "pt") as opened:
        return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118


def _information(shape: tuple[int, ...], seed: str) -> torch.Tensor:
    return torch.rand(shape, generator=_generator(seed)) + 0.1


def _gram(shape: tuple[int, ...], seed: str) -> torch.Tensor | None:
    if len(shape) != 2 or shape[1] > MOST_INPUTS:
        return None
    rows = torch.randn(2 * shape[1], shape[1], generator=_generator(seed))
    return rows.T @ rows / len(rows)


def _coefficients(shape: tuple[int, ...], seed: str) -> torch.Tensor:
    return torch.rand(PARTS, generator=_generator(seed), dtype=torch.float64)


def _generator(seed: str) -> torch.Generator:
    return torch.Generator().manual_seed(sum(ord(letter) * 31**place for place, letter in enumerate(seed)) % 2**62)
