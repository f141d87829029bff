"""What outcomes are compared with: arithmetic in float64, and the tensors of loaded models."""

from __future__ import annotations

from typing import Any

import torch

State = dict[str, torch.Tensor]


def state(model: Any) -> State:
    """Return all tensors of a loaded model, in float64."""
    return {name: tensor.to(torch.float64) for name, tensor in model.state_dict().items()}


def close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Tell whether two tensors agree to a millionth of the largest magnitude."""
    one, other = found.to(torch.float64), expected.to(torch.float64)
    return one.shape == other.shape and float((one - other).abs().max()) <= 1e-6 * float(other.abs().max())


def arc(one: torch.Tensor, other: torch.Tensor, t: float) -> torch.Tensor:
    """Return the point on the arc between two tensors (Shoemake 1985), or on the line where they are parallel."""
    start, end = one.to(torch.float64), other.to(torch.float64)
    cosine = (start * end).sum() / (start.norm() * end.norm())
    if cosine.abs() > 0.9995:
        return (1 - t) * start + t * end
    angle = cosine.acos()
    return ((1 - t) * angle).sin() / angle.sin() * start + (t * angle).sin() / angle.sin() * end
