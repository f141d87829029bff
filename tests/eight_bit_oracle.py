"""8-bit floats and their scales by definition: the nearest of all 8-bit numbers, found among a list of them."""

from __future__ import annotations

import torch

LARGEST = {torch.float8_e4m3fn: 448.0, torch.float8_e5m2: 57344.0}


def blocks_of(values: torch.Tensor, block: tuple[int, int]) -> torch.Tensor:
    """Return the largest magnitude of every block; [block rows, block columns]."""
    height, width = block
    rows = [part.abs().amax(0, keepdim=True) for part in values.split(height)]
    return torch.cat([torch.cat([p.amax(1, keepdim=True) for p in row.split(width, 1)], 1) for row in rows])


def scales_of(values: torch.Tensor, block: tuple[int, int], kind: torch.dtype = torch.float8_e4m3fn) -> torch.Tensor:
    """Return scales in float32: the largest magnitude over the largest 8-bit float; 1 where there are only zeros."""
    found = (blocks_of(values.double(), block) / LARGEST[kind]).float()
    return torch.where(found == 0, torch.ones_like(found), found)


def quantised(
    values: torch.Tensor, scales: torch.Tensor, block: tuple[int, int], kind: torch.dtype = torch.float8_e4m3fn
) -> torch.Tensor:
    """Return the 8-bit floats nearest to values over scales, of two the one with an even code."""
    wide = scales.double()
    for axis, (size, length) in enumerate(zip(block, values.shape, strict=True)):
        wide = wide.repeat_interleave(size, axis).narrow(axis, 0, length)
    quotients = values.double() / wide
    grid = torch.arange(128, dtype=torch.uint8).view(kind).double()
    grid = grid[grid.isfinite()]
    below = (torch.searchsorted(grid, quotients.abs(), right=True) - 1).clamp(0, len(grid) - 2)
    middle = (grid[below] + grid[below + 1]) / 2
    up = (quotients.abs() > middle) | ((quotients.abs() == middle) & (below % 2 == 1))
    codes = (below + up.long()).to(torch.uint8) | (quotients.signbit().to(torch.uint8) << 7)
    return codes.view(kind)


def requantised(
    values: torch.Tensor, block: tuple[int, int], kind: torch.dtype = torch.float8_e4m3fn
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return 8-bit floats and scales of a matrix."""
    scales = scales_of(values, block, kind)
    return quantised(values, scales, block, kind), scales


def mean(*states: torch.Tensor) -> torch.Tensor:
    """Return what a soup computes in float32 of 16-bit tensors, before it is rounded."""
    share = torch.tensor(1 / len(states), dtype=torch.float32)
    total = states[0].float() * share
    for other in states[1:]:
        total += other.float() * share
    return total
