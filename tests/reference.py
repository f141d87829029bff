"""The arithmetic once more, written plainly and without a line of the package: what every merge is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch

Array = np.ndarray


def accumulator(tensors: Sequence[torch.Tensor]) -> np.dtype:
    """float32 up to 16 bits, float64 above."""
    return np.dtype("f8" if any(tensor.dtype.itemsize > 2 for tensor in tensors) else "f4")


def widen(tensor: torch.Tensor, dtype: np.dtype) -> Array:
    """Return the numbers of a tensor; every type fits exactly into the accumulator chosen for it."""
    return tensor.to(torch.float64).numpy().astype(dtype)


def rounded(values: Array, dtype: torch.dtype) -> torch.Tensor:
    """Round to nearest even, in one step, by looking the neighbours up in a table of all numbers of the type."""
    if dtype.itemsize > 2:
        return torch.from_numpy(np.array(values.astype(np.float32 if dtype == torch.float32 else np.float64)))
    numbers, patterns = _table(dtype)
    magnitude = np.abs(values.astype(np.float64)).reshape(-1)
    above = np.clip(np.searchsorted(numbers, magnitude), 1, len(numbers) - 1)
    low, high = numbers[above - 1], numbers[above]
    middle = (low + high) / 2  # exact: the type has far fewer bits than float64
    up = (magnitude > middle) | ((magnitude == middle) & (patterns[above] % 2 == 0))
    found = np.where(up, patterns[above], patterns[above - 1]).astype(np.int64)
    sign = np.signbit(values).reshape(-1).astype(np.int64) << (8 * dtype.itemsize - 1)
    if "fnuz" in str(dtype):
        sign[found == 0] = 0  # these types have no negative zero
    narrow = {1: torch.uint8, 2: torch.uint16}[dtype.itemsize]
    return torch.from_numpy(found | sign).to(narrow).view(dtype).reshape(values.shape)


@cache
def _table(dtype: torch.dtype) -> tuple[Array, Array]:
    """Return all finite numbers of a type that are not negative, in order, with their bit patterns."""
    bits = 8 * dtype.itemsize
    patterns = torch.arange(2 ** (bits - 1)).to({8: torch.uint8, 16: torch.uint16}[bits])
    numbers = patterns.view(dtype).to(torch.float64).numpy()
    finite = np.isfinite(numbers)
    return numbers[finite], np.flatnonzero(finite)


def soup(tensors: Sequence[torch.Tensor], weights: Sequence[float], dtype: torch.dtype | None = None) -> torch.Tensor:
    kind = accumulator(tensors)
    total = widen(tensors[0], kind) * kind.type(weights[0])
    for tensor, weight in zip(tensors[1:], weights[1:], strict=True):
        total = total + widen(tensor, kind) * kind.type(weight)
    return rounded(total, dtype or tensors[0].dtype)


def task_arithmetic(
    base: torch.Tensor, tensors: Sequence[torch.Tensor], weights: Sequence[float], scale: float = 1.0
) -> torch.Tensor:
    kind = accumulator([base, *tensors])
    start = widen(base, kind)
    total = (widen(tensors[0], kind) - start) * kind.type(scale * weights[0])
    for tensor, weight in zip(tensors[1:], weights[1:], strict=True):
        total = total + (widen(tensor, kind) - start) * kind.type(scale * weight)
    return rounded(total + start, base.dtype)


def largest(magnitudes: Array, density: float) -> Array:
    """Return the mask of the max(1, int(density n)) largest, the lowest index first among equals."""
    mask = np.zeros(magnitudes.shape, bool)
    mask[np.argsort(-magnitudes, kind="stable")[: max(1, int(density * len(magnitudes)))]] = True
    return mask


def ties(
    base: torch.Tensor,
    tensors: Sequence[torch.Tensor],
    weights: Sequence[float],
    density: float = 0.2,
    scale: float = 1.0,
    normalize: bool = True,
    masks: Sequence[Array] | None = None,
) -> torch.Tensor:
    """TIES of one tensor; ``masks`` says what is kept where the whole checkpoint decides that."""
    if not base.numel():
        return base
    kind = accumulator([base, *tensors])
    start = widen(base, kind).reshape(-1)
    vectors = [widen(tensor, kind).reshape(-1) - start for tensor in tensors]
    masks = masks or [largest(np.abs(vector), density) for vector in vectors]
    shares = [
        np.where(mask, vector, 0) * kind.type(weight)
        for vector, mask, weight in zip(vectors, masks, weights, strict=True)
    ]
    majority = np.where(sum(shares, np.zeros_like(start)) >= 0, 1, -1)
    agree = [np.sign(share) == majority for share in shares]
    total = sum((np.where(good, share, 0) for good, share in zip(agree, shares, strict=True)), np.zeros_like(start))
    if normalize:
        divisor = np.zeros_like(start)
        for good, weight in zip(agree, weights, strict=True):
            divisor += good * kind.type(weight)
        total = total / np.where(divisor == 0, 1, divisor)
    return rounded(total * kind.type(scale) + start, base.dtype).reshape(base.shape)
