"""Whether a model reads what the data is, told by its configuration alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from ...evaluation.architecture import CLIP, SIGLIP, SIGLIP2

if TYPE_CHECKING:
    from ...evaluation.model_name import ModelName

TOWERS = (*CLIP, *SIGLIP, *SIGLIP2)
WHOLE = (CLIP[0], SIGLIP[0], SIGLIP2[0])  # types of models that have both towers


def refuse_texts_only(model: ModelName, name: str, data: str) -> None:
    """Raise UsageError for a model of transformers that reads texts, where the data is images.

    Args:
        model: The architecture.
        name: The model, for messages.
        data: The data, for messages.
    """
    if model.kind not in ("folder", "hf"):
        return
    from ...evaluation.configuration import read_configuration

    config = read_configuration(model)
    if config.model_type not in TOWERS and main_input(config) == "input_ids":
        what = f"{named_architecture(config) or config.model_type} reads texts, but the data '{data}' is images"
        raise UsageError(what, where=name, hint="give texts with --data, or another model")


def main_input(config: Any) -> str:
    """Return what a model of transformers reads first: ``pixel_values``, ``input_ids`` …; empty where it is unknown."""
    import transformers
    from transformers import MODEL_MAPPING

    named = getattr(transformers, named_architecture(config), None)
    return str(getattr(named or MODEL_MAPPING.get(type(config), None), "main_input_name", ""))


def named_architecture(config: Any) -> str:
    """Return the class that a configuration names, or nothing."""
    return str((getattr(config, "architectures", None) or [""])[0])
