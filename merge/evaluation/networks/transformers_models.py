"""Models of transformers: image classifiers, and the image towers of CLIP and SigLIP."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import isqrt
from typing import TYPE_CHECKING, Any

from ...errors import MergeError
from ..architecture import SIGLIP2, build, has_classes
from ..image_format import ImageFormat
from .network import ImageNetwork
from .weights import trace_names

if TYPE_CHECKING:
    from torch import Tensor


def build_transformers(
    config: Any, tensors: Mapping[str, Tensor], *, where: str, published: tuple[int, int] | None = None
) -> ImageNetwork:
    """Build what a configuration describes.

    Args:
        config: The configuration.
        tensors: Of the checkpoint.
        where: The model, for messages.
        published: Height and width that the model's preprocessor makes.

    Raises:
        MergeError: There is no such architecture, or the tensors do not fit.
    """
    module = build(config, tensors, where=where)
    classifies = has_classes(type(module))
    pixel_input = _patches if module.config.model_type in SIGLIP2 else _pixels
    return ImageNetwork(
        module,
        partial(_logits if classifies else _features, module, pixel_input, where),
        classifies,
        _image_format(module, published),
        lambda lenient: trace_names(partial(build, config, where=where), tensors, where=where, lenient=lenient),
    )


def _logits(module: Any, pixel_input: Any, where: str, pixels: Tensor) -> Tensor:
    logits: Tensor = module(**pixel_input(module, pixels)).logits
    return logits


def _features(module: Any, pixel_input: Any, where: str, pixels: Tensor) -> Tensor:
    outputs = module(**pixel_input(module, pixels))
    projected: Tensor | None = getattr(outputs, "image_embeds", None)
    features: Tensor | None = getattr(outputs, "pooler_output", None) if projected is None else projected
    if features is None:
        raise MergeError(f"{type(module).__name__} gives no pooled features", where=where)
    return features


def _pixels(module: Any, pixels: Tensor) -> dict[str, Tensor]:
    return {"pixel_values": pixels}


def _patches(module: Any, pixels: Tensor) -> dict[str, Tensor]:
    """Cut square images as SigLIP2's own processor does: patches row by row, channels last in each, no padding."""
    import torch

    n, channels, height, width = pixels.shape
    vision = getattr(module.config, "vision_config", module.config)
    side = vision.patch_size
    rows, columns = height // side, width // side
    cut = pixels.reshape(n, channels, rows, side, columns, side).permute(0, 2, 4, 3, 5, 1)
    return {
        "pixel_values": cut.reshape(n, rows * columns, side * side * channels),
        "pixel_attention_mask": torch.ones(n, rows * columns, dtype=torch.int32, device=pixels.device),
        "spatial_shapes": torch.tensor([[rows, columns]] * n, device=pixels.device),
    }


def _image_format(module: Any, published: tuple[int, int] | None) -> ImageFormat:
    """Return what a model takes; of one that takes images of any size, the size that its preprocessor makes."""
    config = module.config
    vision = getattr(config, "vision_config", config)  # CLIPForImageClassification keeps the whole configuration
    size = getattr(vision, "image_size", None)
    if config.model_type in SIGLIP2:  # it takes any number of patches; the largest square that it was trained for
        size = isqrt(vision.num_patches) * vision.patch_size
    if isinstance(size, int):
        size = (size, size)
    if published is not None and not _has_positions(module):
        size = published
    return ImageFormat(channels=getattr(vision, "num_channels", 3), size=tuple(size) if size else None)


def _has_positions(module: Any) -> bool:
    """Tell whether a model has an embedding for each position, and so takes one size of images."""
    return any("position" in name for name in module.state_dict()) or module.config.model_type in SIGLIP2
