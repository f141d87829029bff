"""Architectures of timm: classes and channels come from the checkpoint's own tensors, the size from timm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import MergeError, UsageError, suggest
from ..image_format import ImageFormat
from .network import ImageNetwork
from .weights import load_strictly, no_global_randomness

if TYPE_CHECKING:
    from torch import Tensor

    from ..model_name import ModelName

RGB = 3


def build_timm(model: ModelName, tensors: Mapping[str, Tensor], *, where: str) -> ImageNetwork:
    """Build an architecture of timm without its published weights.

    A checkpoint without the classifier's tensors gives pooled features.

    Raises:
        UsageError: timm has no such architecture.
        MergeError: It cannot be built here, or the tensors do not fit.
    """
    import timm

    record = timm_record(model)
    classes = _count(tensors, record.classifier, axis=0) or 0
    channels = _count(tensors, record.first_conv, axis=1) or RGB
    with no_global_randomness():
        try:
            module = timm.create_model(model.name, pretrained=False, num_classes=classes, in_chans=channels)
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            first_line = str(error).strip().partition("\n")[0]
            raise MergeError(f"timm cannot build '{model.name}': {first_line}", where=where) from None
    load_strictly(module, tensors, model.label, where=where)
    _, height, width = record.input_size
    expects = ImageFormat(channels=channels, size=(height, width))
    return ImageNetwork(module, module, bool(classes), expects, {name: name for name in tensors})


def timm_record(model: ModelName) -> Any:
    """Return timm's own record of a model: names of its first and last layer, and the size of its images.

    Raises:
        UsageError: timm has no such model.
    """
    from timm import list_models
    from timm.models import get_pretrained_cfg, is_model

    architecture = model.name.partition(".")[0]
    if not is_model(architecture):
        hint = suggest(architecture, list_models()) or "timm.list_models() names them all"
        raise UsageError(f"timm has no architecture '{architecture}'", where=model.where, hint=hint)
    try:
        return get_pretrained_cfg(model.name)
    except RuntimeError as error:
        raise UsageError(f"timm: {error}", where=model.where, hint=f"'timm:{architecture}' alone will do") from None


def _count(tensors: Mapping[str, Tensor], layers: str | tuple[str, ...] | None, *, axis: int) -> int | None:
    """Return a dimension of the weight of the first of these layers that the checkpoint has."""
    for layer in (layers,) if isinstance(layers, str) else layers or ():
        weight = tensors.get(f"{layer}.weight")
        if weight is not None and weight.ndim > axis:
            return int(weight.shape[axis])
    return None
