"""Clouds by the diamond-square algorithm (Fournier, Fussell and Carpenter 1982)."""

from __future__ import annotations

import numpy as np

from .setting import Image


def plasma(side: int, decay: float, generator: np.random.Generator) -> Image:
    """Return clouds [side, side] from 0 to 1 that continue from one edge to the opposite one.

    Args:
        side: A power of two, 2 or more.
        decay: What the roughness is divided by when the grid gets twice as fine. The deviation falls by its square,
            since the published program multiplies uniform noise by its own range.
        generator: Random numbers.
    """
    heights = np.zeros((side, side))
    step, roughness = side, 100.0
    while step >= 2:
        _refine(heights, step, roughness, generator)
        step, roughness = step // 2, roughness / decay
    heights -= heights.min()
    heights /= heights.max()
    return heights


def _refine(heights: Image, step: int, roughness: float, generator: np.random.Generator) -> None:
    """Set the heights halfway between those that are ``step`` apart: their mean, and noise."""
    half = step // 2

    def mean_and_noise(total: Image) -> Image:
        return total / 4 + roughness * generator.uniform(-roughness, roughness, total.shape)

    corners = heights[::step, ::step]
    pairs = corners + np.roll(corners, -1, axis=0)
    centers = mean_and_noise(pairs + np.roll(pairs, -1, axis=1))
    heights[half::step, half::step] = centers
    sides = corners + np.roll(corners, -1, axis=1) + centers + np.roll(centers, 1, axis=0)
    heights[::step, half::step] = mean_and_noise(sides)
    heights[half::step, ::step] = mean_and_noise(pairs + centers + np.roll(centers, 1, axis=1))
