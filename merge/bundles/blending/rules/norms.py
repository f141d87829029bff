"""Layers that normalise: that is done once, and gain and shift are small enough to be interpolated per sample."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..axes import BatchAxisError
from .site import Site


def layer_norm(site: Site, tensor: Tensor) -> Tensor:
    """Return what a LayerNorm with interpolated gain and shift gives."""
    layer: Any = site.first
    normal = functional.layer_norm(tensor, layer.normalized_shape, None, None, layer.eps)
    return _over_last_axes(site, normal, len(layer.normalized_shape))


def rms_norm(site: Site, tensor: Tensor) -> Tensor:
    """Return what an RMSNorm with interpolated gain gives."""
    layer: Any = site.first
    normal = functional.rms_norm(tensor, layer.normalized_shape, None, layer.eps)
    return _over_last_axes(site, normal, len(layer.normalized_shape))


def _over_last_axes(site: Site, normal: Tensor, axes: int) -> Tensor:
    axis = 0 if site.moment.samples is None else site.batch_axis(normal)
    if axis >= normal.ndim - axes:
        raise BatchAxisError(f"{site.name}: normalises over the batch")
    return _scaled(site, normal, axis, site.tensor("weight"), site.tensor("bias"))


def batch_norm(site: Site, tensor: Tensor) -> Tensor:
    """Return what a BatchNorm in evaluation mode gives with interpolated statistics, gain and shift.

    It is an affine map of each channel: ``gain / sqrt(variance + epsilon)``, and what is added follows from it.
    """
    mean, variance = site.tensor("running_mean"), site.tensor("running_var")
    if mean is None or variance is None:
        raise BatchAxisError(f"{site.name}: normalises over the batch")
    if site.moment.samples is not None and site.batch_axis(tensor):
        raise BatchAxisError(f"{site.name}: the batch is not first")
    layer: Any = site.first
    scale = torch.rsqrt(variance + layer.eps)
    gain, shift = site.tensor("weight"), site.tensor("bias")
    scale = scale if gain is None else scale * gain
    shift = -mean * scale if shift is None else shift - mean * scale
    channels = (*scale.shape, *[1] * (tensor.ndim - 2))
    return _scaled(site, tensor, 0, scale.view(channels), shift.view(channels))


def _scaled(site: Site, tensor: Tensor, axis: int, scale: Tensor | None, shift: Tensor | None) -> Tensor:
    """Return ``tensor * scale + shift``, of the tensor's type.

    Args:
        site: Where.
        tensor: With its batch along an axis.
        axis: That axis.
        scale: [batch, ..], the latter broadcasting against the last axes of the tensor; inside vmap [..].
        shift: Likewise.
    """
    if site.moment.samples is not None:
        scale, shift = _along(scale, tensor, axis), _along(shift, tensor, axis)
    if scale is None:
        return tensor if shift is None else (tensor + shift).to(tensor.dtype)
    scaled = tensor * scale if shift is None else torch.addcmul(shift, tensor, scale)
    return scaled.to(tensor.dtype)


def _along(part: Tensor | None, tensor: Tensor, axis: int) -> Tensor | None:
    """Return [batch, ..] in the shape that broadcasts against a tensor with the batch along an axis."""
    if part is None:
        return None
    if tensor.shape[axis] % len(part) == 0:
        part = part.repeat_interleave(tensor.shape[axis] // len(part), dim=0)
    shape = [1] * (tensor.ndim - part.ndim + 1) + list(part.shape[1:])
    shape[axis] = part.shape[0]
    return part.reshape(shape)
