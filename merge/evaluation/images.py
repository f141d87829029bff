"""Images as stored ▸ the batch that a model takes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from ..section import Section
    from .data.image_set import ImageSet
    from .image_format import ImageFormat


@dataclass(frozen=True)
class Normalization:
    """What is subtracted from the pixels, and what then divides them: one number, or one a channel.

    Attributes:
        where: Place in the benchmark file, for messages.
        data: Place of the data in it.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    where: str = ""
    data: str = ""


def read_normalization(section: Section) -> Normalization:
    """Read ``normalize:`` of a benchmark. Raises UsageError with the place of what is wrong."""
    data = section.section("data").where("path")
    if "normalize" not in section.mapping:
        return Normalization(where=section.name, data=data)
    normalize = section.section("normalize")
    normalize.check_keys(("mean", "std"), required=("mean", "std"))
    mean, std = normalize.numbers("mean"), normalize.numbers("std")
    if min(std) <= 0:
        raise UsageError("'std' must be above 0", where=normalize.where("std"))
    if len(mean) != len(std) and 1 not in (len(mean), len(std)):
        what = f"'mean' has {len(mean)} channels and 'std' {len(std)}"
        raise UsageError(what, where=normalize.where("mean"))
    return Normalization(mean, std, section.where("normalize"), data)


def batches(data: ImageSet, normalization: Normalization, expected: ImageFormat, batch_size: int) -> Iterator[Tensor]:
    """Yield float32 batches [n, channels, height, width]; only one batch exists as floats at a time.

    Raises:
        MergeError: An image cannot be read.
        UsageError: The images do not fit the model.
    """
    parts = [range(first, min(first + batch_size, len(data))) for first in range(0, len(data), batch_size)]
    with ThreadPoolExecutor(1) as ahead:  # decodes a batch while the model runs on the one before
        following = ahead.submit(data.pixels, parts[0], expected)
        for part in [*parts[1:], None]:
            images = following.result()
            if part is not None:
                following = ahead.submit(data.pixels, part, expected)
            yield prepare(images, normalization, expected)


def prepare(images: NDArray[Any], normalization: Normalization, expected: ImageFormat) -> Tensor:
    """Scale, resize, repeat grey, normalize, in this order.

    Args:
        images: [n, channels, height, width]; uint8 is scaled to [0, 1], floats are left as they are.
        normalization: Mean and standard deviation to normalize with.
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
    channels = expected.channels or pixels.shape[1]
    pixels = _with_channels(pixels, channels, normalization)
    mean, std = (_per_channel(values, channels, normalization) for values in (normalization.mean, normalization.std))
    return (pixels - mean) / std


def _with_channels(pixels: Tensor, channels: int, normalization: Normalization) -> Tensor:
    present = pixels.shape[1]
    if present == 1:
        return pixels.expand(-1, channels, -1, -1)
    if present != channels:
        what = f"the images have {present} channels, the model takes {channels}"
        raise UsageError(what, where=normalization.data)
    return pixels


def _per_channel(values: tuple[float, ...], channels: int, normalization: Normalization) -> Tensor:
    import torch

    if len(values) not in (1, channels):
        what = f"'normalize' has {len(values)} channels, the model takes {channels}"
        raise UsageError(what, where=normalization.where)
    return torch.tensor(values).view(-1, 1, 1)
