"""A candidate ▸ a vision model with the candidate's weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UsageError
from ..model_name import (
    CONFIG,
    OPEN_CLIP_CONFIG,
    ModelName,
    folder_name,
    has_configuration,
    is_open_clip_folder,
    parse_model_name,
)

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
        MergeError: It is on the hub and cannot be fetched, or its configuration cannot be read.
    """
    override = override or _stated(candidate)
    if override is not None:
        return _checked(parse_model_name(override, "--model"), candidate)
    if candidate.folder is not None and has_configuration(candidate.folder):
        return _checked(folder_name(candidate.folder, candidate.name), candidate)
    if named is not None:
        return _checked(named, candidate)
    hint = "name its architecture: --model, or 'model:' in the benchmark"
    raise UsageError("no config.json beside the weights", where=candidate.name, hint=hint)


def _stated(candidate: Candidate) -> str | None:
    """Return what the bundle that a candidate belongs to says of its architecture.

    Raises:
        UsageError: It names a file of Python code, which nobody but the user may have run.
    """
    if candidate.model is not None and parse_model_name(candidate.model, candidate.name).kind == "file":
        what = "its bundle names a class in a file of Python code, which is run only where you name it"
        raise UsageError(what, where=candidate.name, hint=f"if you trust that file: --model {candidate.model}")
    return candidate.model


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
    from ..configuration import read_configuration, settings_folder
    from .open_clip_models import build_open_clip
    from .own_class import build_own
    from .preprocessor import published_size
    from .timm_models import build_timm
    from .transformers_models import build_transformers

    builders = {"timm": build_timm, "open_clip": build_open_clip, "file": build_own}
    if model.kind in builders:
        return builders[model.kind](model, candidate.tensors, where=candidate.name)
    published = published_size(Path(settings_folder(model, (CONFIG,))))
    return build_transformers(read_configuration(model), candidate.tensors, where=candidate.name, published=published)


def _checked(model: ModelName, candidate: Candidate) -> ModelName:
    """Return the name, of open_clip or timm for a folder or a model of the hub that is theirs."""
    from ..configuration import settings_folder
    from .demo_folder import demo_folder
    from .timm_folder import is_timm_folder, timm_folder

    if model.kind not in ("folder", "hf"):
        return model
    folder = Path(settings_folder(model, (CONFIG, OPEN_CLIP_CONFIG)))
    if model.kind == "folder" and not has_configuration(folder):
        from ..class_hint import hint_for

        what = f"'{model.label}' has no config.json"
        raise UsageError(what, where=model.where, hint=hint_for(folder, model.label))
    if model.kind == "folder" and is_open_clip_folder(folder, candidate.tensors):
        return ModelName("open_clip", model.name, "", model.label, model.where)
    if is_timm_folder(folder):
        return timm_folder(folder, model)
    return demo_folder(folder, model) or model
