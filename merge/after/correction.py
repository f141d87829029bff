"""How the outputs of a layer are brought to a goal (REPAIR, Jordan et al. 2023, arXiv:2211.08403)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from .channel_sums import Moments

if TYPE_CHECKING:
    from torch import Tensor

EPSILON = 1e-5  # what the original adds to both variances: that of its BatchNorm layers


class Goal(NamedTuple):
    """What the outputs of a layer shall have: mean and variance of every channel, float64."""

    mean: Tensor
    variance: Tensor


class Correction(NamedTuple):
    """What brings a layer's outputs there: factor and shift of every channel, float64."""

    scale: Tensor
    shift: Tensor


def goal_of(moments: Sequence[Moments], shares: Sequence[float] | None = None) -> Goal:
    """Return the average of several models' means and standard deviations, by shares that sum to 1, or equal ones.

    As in the original, standard deviations are averaged; variances would give a larger one.
    """
    import torch

    weights = moments[0].mean.new_tensor(shares or [1 / len(moments)] * len(moments))
    mean = weights @ torch.stack([found.mean for found in moments])
    deviation = weights @ torch.stack([found.variance.sqrt() for found in moments])
    return Goal(mean, deviation.square())


def correction_to(goal: Goal, mean: Tensor, variance: Tensor, *, shifts: bool) -> Correction:
    """Return the correction of a layer whose outputs have this mean and variance.

    Args:
        goal: Where they are brought to.
        mean: [channels].
        variance: [channels].
        shifts: Whether the layer has a bias, into which a shift can be folded; without one it is only scaled.
    """
    import torch

    scale = ((goal.variance + EPSILON) / (variance + EPSILON)).sqrt()
    return Correction(scale, goal.mean - mean * scale if shifts else torch.zeros_like(scale))


def corrected(outputs: Tensor, correction: Correction, axis: int) -> Tensor:
    """Return outputs, scaled and shifted along the axis of their channels."""
    shape = [1] * outputs.ndim
    shape[axis] = -1
    scale, shift = (part.to(outputs.dtype).reshape(shape) for part in correction)
    return outputs * scale + shift
