"""A configuration and tensors ▸ a transformers model in which every single parameter came from the checkpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import MergeError
from .foreign_code import NEVER_RUN, class_named
from .networks.weights import refuse_misfits, refuse_without_image_tower
from .networks.wide import are_wide, resizing_class
from .quiet import quiet_transformers

if TYPE_CHECKING:
    from torch import Tensor

PROJECTION = "visual_projection.weight"
IMAGE_TOWER = "vision_model."
CLIP_TOWER = "pre_layrnorm.weight"  # how the library spells it; no other architecture has it
# What a whole CLIP or SigLIP checkpoint has besides its image tower.
TEXT_TOWER = ("text_model.", "text_projection.", "logit_scale", "logit_bias")
CLIP = ("clip", "clip_vision_model")
SIGLIP = ("siglip", "siglip_vision_model")
SIGLIP2 = ("siglip2", "siglip2_vision_model")
_MODULE = re.compile(r"\d+_[A-Za-z]+\.")  # a module of a sentence-transformer that follows the transformer: 2_Dense.


def build(config: Any, tensors: Mapping[str, Tensor], *, where: str) -> Any:
    """Return the model in float32, in evaluation mode, with the tensors in place.

    Raises:
        MergeError: A parameter is missing, left over, or of another shape; names them.
    """
    model_class, config = _model_class(config, tensors, where)
    spare = TEXT_TOWER if _is_tower(config, model_class) else ()
    if spare and any(name.startswith(spare) for name in tensors):
        refuse_without_image_tower(tensors, IMAGE_TOWER, where=where)
    return load(model_class, config, tensors, spare=spare, where=where)


def load(
    model_class: Any,
    config: Any,
    tensors: Mapping[str, Tensor],
    *,
    spare: tuple[str, ...] = (),
    where: str,
    **options: Any,
) -> Any:
    """Return a model of a class of transformers, in float32 and evaluation mode.

    Args:
        model_class: The class.
        config: Its configuration.
        tensors: Of the checkpoint.
        spare: How tensors begin that may be there and are not taken.
        where: The model, for messages.
        options: Further arguments of the class.

    Raises:
        MergeError: A parameter is missing, left over, or of another shape; names them.
    """
    model, loading = _loaded(model_class, config, tensors, where, options)
    if loading["mismatched_keys"] and are_wide(tensors.values()):
        shapes = {name: tuple(found) for name, found, _ in loading["mismatched_keys"]}
        wide = resizing_class(model_class, shapes, where=where)
        model, loading = _loaded(wide, config, tensors, where, options)
        model.__class__ = model_class
    left_over = [name for name in loading["unexpected_keys"] if not (name.startswith(spare) or _MODULE.match(name))]
    shapes_of = [f"{name} {list(found)} for {list(wanted)}" for name, found, wanted in loading["mismatched_keys"]]
    refuse_misfits(loading["missing_keys"], left_over, shapes_of, model_class.__name__, where=where)
    return model.eval()


def _loaded(model_class: Any, config: Any, tensors: Mapping[str, Tensor], where: str, options: Any) -> tuple[Any, Any]:
    """Return a model and what its library says of the tensors that do not fit."""
    import torch

    with quiet_transformers():
        try:
            return model_class.from_pretrained(  # type: ignore[no-any-return]
                None,
                config=config,
                state_dict=dict(tensors),
                dtype=torch.float32,
                ignore_mismatched_sizes=True,  # so that they are listed; they are refused below
                output_loading_info=True,
                **options,
            )
        except (RuntimeError, ValueError, KeyError, ImportError) as error:
            first_line = str(error).strip().partition("\n")[0]
            raise MergeError(f"{model_class.__name__} cannot take the weights: {first_line}", where=where) from None


def _is_tower(config: Any, model_class: Any) -> bool:
    is_tower_type = getattr(config, "model_type", "") in (*CLIP, *SIGLIP, *SIGLIP2)
    return is_tower_type and not has_classes(model_class)


def has_classes(model_class: Any) -> bool:
    """Tell whether a class of transformers classifies images."""
    return "ForImageClassification" in model_class.__name__


def _model_class(config: Any, tensors: Mapping[str, Tensor], where: str) -> tuple[Any, Any]:
    named = _named(config)
    if named is None or "ForImageClassification" not in named:
        tower = _tower(config, tensors)
        if tower is not None:
            return tower
    model_class = class_named(named) if named else _default_class(config)
    if model_class is None:
        what = f"transformers has no architecture '{named}'" if named else "the configuration names no architecture"
        raise MergeError(what, where=where, hint=NEVER_RUN)
    return model_class, config


def _named(config: Any) -> str | None:
    """Return the first architecture that a configuration names, whatever it holds in that place."""
    found = getattr(config, "architectures", None)
    return str(found[0]) if isinstance(found, list | tuple) and found and found[0] else None


def _default_class(config: Any) -> Any:
    from transformers import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING, MODEL_MAPPING

    for mapping in (MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING, MODEL_MAPPING):
        if type(config) in mapping:
            return mapping[type(config)]
    return None


def _tower(config: Any, tensors: Mapping[str, Tensor]) -> tuple[Any, Any] | None:
    """Return class and configuration of the image tower of a model of images and texts; None for other models."""
    from transformers import Siglip2VisionModel, SiglipVisionModel

    kind, vision = getattr(config, "model_type", ""), getattr(config, "vision_config", config)
    if kind in CLIP:
        return _clip_tower(config, vision, tensors)
    if kind in SIGLIP:
        return SiglipVisionModel, vision
    return (Siglip2VisionModel, vision) if kind in SIGLIP2 else None


def _clip_tower(config: Any, vision: Any, tensors: Mapping[str, Tensor]) -> tuple[Any, Any]:
    """Pick the tower by what the checkpoint holds: whether it has a projection, its configuration does not say."""
    from transformers import CLIPVisionModel, CLIPVisionModelWithProjection

    if PROJECTION not in tensors:
        return CLIPVisionModel, vision
    vision.projection_dim = getattr(config, "projection_dim", vision.projection_dim)
    return CLIPVisionModelWithProjection, vision
