"""A candidate ▸ a vision model with the candidate's weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UsageError
from ..model_name import FORMS, ModelName, folder_name, has_configuration, is_open_clip_folder, parse_model_name

if TYPE_CHECKING:
    from ..candidate import Candidate
    from .network import ImageNetwork


def choose_model(candidate: Candidate, override: str | None, named: ModelName | None) -> ModelName:
    """Say what architecture a candidate has.

    Args:
        candidate: The model; its folder may have a configuration.
        override: What ``--model`` says; goes first.
        named: What the benchmark says, where no configuration lies beside the weights.

    Raises:
        UsageError: Nothing says it, or what says it has another form.
    """
    if override is not None:
        return _checked(parse_model_name(override, "--model"), candidate)
    if candidate.folder is not None and has_configuration(candidate.folder):
        return _checked(folder_name(candidate.folder, candidate.name), candidate)
    if named is not None:
        return _checked(named, candidate)
    hint = "name its architecture: --model, or 'model:' in the benchmark"
    raise UsageError("no config.json beside the weights", where=candidate.name, hint=hint)


def check_model(override: str | None, named: ModelName | None) -> None:
    """Refuse an architecture that its library does not have, before any data are loaded.

    Args:
        override: What ``--model`` says; goes first.
        named: What the benchmark says.

    Raises:
        UsageError: With the nearest name that there is.
    """
    from .open_clip_models import open_clip_name
    from .timm_models import timm_record

    model = named if override is None else parse_model_name(override, "--model")
    checks = {"timm": timm_record, "open_clip": open_clip_name}
    if model is not None and model.kind in checks:
        checks[model.kind](model)


def build_network(candidate: Candidate, model: ModelName) -> ImageNetwork:
    """Build a vision model on the CPU.

    Raises:
        UsageError: There is no such architecture.
        MergeError: The checkpoint does not fit it.
    """
    from ..configuration import read_configuration
    from .open_clip_models import build_open_clip
    from .own_class import build_own
    from .timm_models import build_timm
    from .transformers_models import build_transformers

    builders = {"timm": build_timm, "open_clip": build_open_clip, "file": build_own}
    if model.kind in builders:
        return builders[model.kind](model, candidate.tensors, where=candidate.name)
    return build_transformers(read_configuration(model), candidate.tensors, where=candidate.name)


def _checked(model: ModelName, candidate: Candidate) -> ModelName:
    """Return the name, of open_clip for a folder whose weights are open_clip's."""
    if model.kind != "folder":
        return model
    folder = Path(model.name)
    if not has_configuration(folder):
        raise UsageError(f"'{model.label}' has no config.json", where=model.where, hint=f"give {FORMS}")
    if is_open_clip_folder(folder, candidate.tensors):
        return ModelName("open_clip", model.name, "", model.label, model.where)
    return model
