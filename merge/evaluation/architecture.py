"""A configuration and tensors ▸ a transformers model in which every single parameter came from the checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import MergeError
from .quiet import quiet_transformers

if TYPE_CHECKING:
    from torch import Tensor

PROJECTION = "visual_projection.weight"
# What a whole CLIP checkpoint has besides its image tower.
TEXT_TOWER = ("text_model.", "text_projection.", "logit_scale")
# Buffers that some library versions save and others do not; they hold no knowledge.
OPTIONAL_BUFFERS = ("num_batches_tracked", "position_ids")
NAMES_SHOWN = 5


def build(config: Any, tensors: Mapping[str, Tensor], *, where: str) -> Any:
    """Return the model in float32, in evaluation mode, with the tensors in place.

    Raises:
        MergeError: A parameter is missing, left over, or of another shape; names them.
    """
    import torch

    model_class, config = _model_class(config, tensors, where)
    with quiet_transformers():
        try:
            model, loading = model_class.from_pretrained(
                None,
                config=config,
                state_dict=dict(tensors),
                dtype=torch.float32,
                ignore_mismatched_sizes=True,  # so that they are listed; they are refused below
                output_loading_info=True,
            )
        except (RuntimeError, ValueError, KeyError, ImportError) as error:
            first_line = str(error).strip().partition("\n")[0]
            raise MergeError(f"{model_class.__name__} cannot take the weights: {first_line}", where=where) from None
    _check(loading, model_class.__name__, is_clip_tower=_is_clip(config), where=where)
    return model.eval()


def _is_clip(config: Any) -> bool:
    return getattr(config, "model_type", "") in ("clip", "clip_vision_model")


def _model_class(config: Any, tensors: Mapping[str, Tensor], where: str) -> tuple[Any, Any]:
    import transformers

    named = (getattr(config, "architectures", None) or [None])[0]
    if _is_clip(config) and named != "CLIPForImageClassification":
        return _clip_tower(config, tensors)
    model_class = getattr(transformers, named, None) if named else _default_class(config)
    if model_class is None:
        hint = "code that comes with a checkpoint is never run"
        what = f"transformers has no architecture '{named}'" if named else "the configuration names no architecture"
        raise MergeError(what, where=where, hint=hint)
    return model_class, config


def _default_class(config: Any) -> Any:
    from transformers import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING, MODEL_MAPPING

    for mapping in (MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING, MODEL_MAPPING):
        if type(config) in mapping:
            return mapping[type(config)]
    return None


def _clip_tower(config: Any, tensors: Mapping[str, Tensor]) -> tuple[Any, Any]:
    """Pick the tower by what the checkpoint holds: whether it has a projection, its configuration does not say."""
    from transformers import CLIPVisionModel, CLIPVisionModelWithProjection

    vision = getattr(config, "vision_config", config)
    if PROJECTION not in tensors:
        return CLIPVisionModel, vision
    vision.projection_dim = getattr(config, "projection_dim", vision.projection_dim)
    return CLIPVisionModelWithProjection, vision


def _check(loading: Mapping[str, Any], architecture: str, *, is_clip_tower: bool, where: str) -> None:
    missing = [name for name in loading["missing_keys"] if not name.endswith(OPTIONAL_BUFFERS)]
    left_over = [name for name in loading["unexpected_keys"] if not name.endswith(OPTIONAL_BUFFERS)]
    if is_clip_tower:
        left_over = [name for name in left_over if not name.startswith(TEXT_TOWER)]
    shapes = [f"{name} {list(found)} for {list(wanted)}" for name, found, wanted in loading["mismatched_keys"]]
    problems = {"missing": missing, "left over": left_over, "of another shape": shapes}
    texts = [f"{len(names)} {kind}: {_some(names)}" for kind, names in problems.items() if names]
    if texts:
        raise MergeError(f"the weights do not fit {architecture}; " + "; ".join(texts), where=where)


def _some(names: Collection[str]) -> str:
    shown = sorted(names)[:NAMES_SHOWN]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")
