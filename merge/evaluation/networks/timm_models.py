"""Architectures of timm: classes and channels come from the checkpoint itself, the rest from timm or a folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import MergeError, UsageError, suggest
from ..image_format import ImageFormat
from .network import ImageNetwork
from .timm_folder import PREFIX, stated_architecture, stated_arguments, stated_record
from .weights import load_strictly, no_global_randomness

if TYPE_CHECKING:
    from torch import Tensor

    from ..model_name import ModelName

RGB = 3


def build_timm(model: ModelName, tensors: Mapping[str, Tensor], *, where: str) -> ImageNetwork:
    """Build an architecture of timm, by its name or as a folder describes it, without its published weights.

    A checkpoint without the classifier's tensors gives pooled features.

    Raises:
        UsageError: timm has no such architecture.
        MergeError: It cannot be built here, or the tensors do not fit.
    """
    import timm

    record = timm_record(model)
    names = {name: name.removeprefix(PREFIX) if model.detail else name for name in tensors}
    tensors = {here: tensors[name] for name, here in names.items()}
    classes = _count(tensors, record.classifier, axis=0) or 0
    channels = _count(tensors, record.first_conv, axis=1) or RGB
    options = {"num_classes": classes, "in_chans": channels} | stated_arguments(model)
    architecture = stated_architecture(model)
    with no_global_randomness():
        try:
            module = timm.create_model(architecture, pretrained=False, pretrained_cfg=_given(record, model), **options)
        except (RuntimeError, ValueError, TypeError, AssertionError, AttributeError, KeyError) as error:
            first_line = str(error).strip().partition("\n")[0]
            raise MergeError(f"timm cannot build '{architecture}': {first_line}", where=where) from None
    load_strictly(module, tensors, model.label, where=where)
    _, height, width = record.input_size
    expects = ImageFormat(channels=channels, size=(height, width))
    return ImageNetwork(module, module, bool(classes), expects, names)


def _given(record: Any, model: ModelName) -> Any:
    """Return the record that a folder gives; timm finds that of a name, with its tag, itself."""
    return record if model.detail else None


def timm_record(model: ModelName) -> Any:
    """Return timm's own record of a model: names of its first and last layer, and the size of its images.

    Raises:
        UsageError: timm has no such model.
        MergeError: The folder's configuration cannot be understood.
    """
    from timm import list_models
    from timm.models import get_pretrained_cfg, is_model

    name = stated_architecture(model)
    architecture = name.partition(".")[0]
    if not is_model(architecture):
        hint = suggest(architecture, list_models()) or "timm.list_models() names them all"
        raise UsageError(f"timm has no architecture '{architecture}'", where=model.where, hint=hint)
    try:
        record = get_pretrained_cfg(name)
    except RuntimeError as error:
        raise UsageError(f"timm: {error}", where=model.where, hint=f"'timm:{architecture}' alone will do") from None
    return stated_record(model, record)


def _count(tensors: Mapping[str, Tensor], layers: str | tuple[str, ...] | None, *, axis: int) -> int | None:
    """Return a dimension of the weight of the first of these layers that the checkpoint has."""
    for layer in (layers,) if isinstance(layers, str) else layers or ():
        weight = tensors.get(f"{layer}.weight")
        if weight is not None and weight.ndim > axis:
            return int(weight.shape[axis])
    return None
