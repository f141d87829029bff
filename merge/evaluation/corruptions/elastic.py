"""Elastic transform (after Simard, Steinkraus and Platt 2003): a random affine map, then local displacements."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .setting import Image, Setting


def elastic_transform(image: Image, setting: Setting) -> Image:
    """Pull three corners of the middle square about, then displace every pixel by smooth noise.

    The constants are shares of the side, so they follow it below 32 pixels too. The factor multiplies noise that gets
    weaker as it is smoothed, by one over the width: scaled by the square, it gives displacements that follow the side.
    """
    scale = setting.side / setting.table_side
    factor, smoothing, pull = setting.constants
    pulled = _pulled(image, pull * scale, setting.generator)
    return _displaced(pulled, factor * scale**2, smoothing * scale, setting.generator)


def _pulled(image: Image, pull: float, generator: np.random.Generator) -> Image:
    """Return the image under the affine map that moves three points by up to ``pull`` pixels each way."""
    height, width, _ = image.shape
    reach = min(height, width) // 3
    points = np.array([width // 2, height // 2]) + reach * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = points + generator.uniform(-pull, pull, size=points.shape)
    back = np.linalg.solve(np.column_stack([moved, np.ones(3)]), points)  # [x, y, 1] of the result ▸ x, y of the image
    rows, columns = np.indices((height, width))
    sources = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ back
    return _sampled(image, sources[..., 1], sources[..., 0], mode="mirror")


def _displaced(image: Image, factor: float, smoothing: float, generator: np.random.Generator) -> Image:
    """Return the image with every pixel taken from nearby, the way there being smoothed uniform noise in pixels."""
    from scipy import ndimage

    shape = image.shape[:2]
    right, down = (
        factor * ndimage.gaussian_filter(generator.uniform(-1, 1, shape), smoothing, mode="reflect", truncate=3)
        for _ in range(2)
    )
    rows, columns = np.indices(shape)
    return _sampled(image, rows + down, columns + right, mode="reflect")


def _sampled(image: Image, rows: NDArray[Any], columns: NDArray[Any], *, mode: str) -> Image:
    """Return the pixels [height, width, channels] at fractional rows and columns, by linear interpolation."""
    from scipy import ndimage

    channels = np.moveaxis(image, -1, 0)
    sampled = [ndimage.map_coordinates(channel, [rows, columns], order=1, mode=mode) for channel in channels]
    return np.stack(sampled, axis=-1)
