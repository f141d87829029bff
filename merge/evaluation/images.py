"""Images as stored ▸ the batch that a model takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from .specification import Benchmark


@dataclass(frozen=True)
class ImageFormat:
    """What a model takes: channels, and height and width in pixels (None: any)."""

    channels: int
    size: tuple[int, int] | None


def batches(images: NDArray[Any], benchmark: Benchmark, expected: ImageFormat, batch_size: int) -> Iterator[Tensor]:
    """Yield float32 batches [n, channels, height, width]; only one batch exists as floats at a time."""
    for first in range(0, len(images), batch_size):
        yield prepare(images[first : first + batch_size], benchmark, expected)


def prepare(images: NDArray[Any], benchmark: Benchmark, expected: ImageFormat) -> Tensor:
    """Scale, resize, repeat grey, normalize, in this order.

    Args:
        images: [n, channels, height, width]; uint8 is scaled to [0, 1], floats are left as they are.
        benchmark: Mean and standard deviation to normalize with.
        expected: What the model takes.

    Raises:
        UsageError: Channels of the images, of the normalization and of the model do not fit together.
    """
    import numpy as np
    import torch

    native = images.dtype.newbyteorder("=")  # torch takes no other byte order
    stored = torch.from_numpy(np.ascontiguousarray(images, dtype=native))
    pixels = stored.float().div_(255) if stored.dtype == torch.uint8 else stored.float()
    if expected.size and pixels.shape[-2:] != expected.size:
        pixels = torch.nn.functional.interpolate(pixels, expected.size, mode="bilinear", antialias=True)
    pixels = _with_channels(pixels, expected.channels, benchmark)
    mean, std = (_per_channel(values, expected.channels, benchmark) for values in (benchmark.mean, benchmark.std))
    return (pixels - mean) / std


def _with_channels(pixels: Tensor, channels: int, benchmark: Benchmark) -> Tensor:
    present = pixels.shape[1]
    if present == 1:
        return pixels.expand(-1, channels, -1, -1)
    if present != channels:
        what = f"the images have {present} channels, the model takes {channels}"
        raise UsageError(what, where=benchmark.data.where)
    return pixels


def _per_channel(values: tuple[float, ...], channels: int, benchmark: Benchmark) -> Tensor:
    import torch

    if len(values) not in (1, channels):
        what = f"'normalize' has {len(values)} channels, the model takes {channels}"
        raise UsageError(what, where=benchmark.where)
    return torch.tensor(values).view(-1, 1, 1)
