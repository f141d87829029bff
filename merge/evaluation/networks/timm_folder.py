"""A folder as timm leaves it on the hub: its config.json names an architecture, its arguments and its images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...checkpoints.checkpoint import read_json_object
from ...errors import MergeError
from ..model_name import CONFIG, ModelName

WRAPPER = "timm_wrapper"  # what transformers calls a model of timm that it holds
PREFIX = "timm_model."  # of the tensors of such a model
# What tells timm.create_model where weights are and how to run, nothing of what the architecture is.
_NOT_ARCHITECTURE = frozenset(
    (
        *("model_name", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"),
        *("scriptable", "exportable", "no_jit", "num_classes", "in_chans"),
    )
)


def is_timm_folder(folder: Path) -> bool:
    """Tell whether a folder's configuration is timm's."""
    if not (folder / CONFIG).is_file():
        return False
    config = read_json_object(folder / CONFIG)
    return isinstance(config.get("architecture"), str) and config.get("model_type", WRAPPER) == WRAPPER


def timm_folder(folder: Path, model: ModelName) -> ModelName:
    """Return the name of the architecture that a folder of timm describes."""
    return ModelName("timm", str(folder), CONFIG, model.label, model.where)


def stated_architecture(model: ModelName) -> str:
    """Return what timm calls an architecture: the name, or what the folder's configuration says."""
    return str(_config(model)["architecture"]) if model.detail == CONFIG else model.name


def stated_arguments(model: ModelName) -> dict[str, Any]:
    """Return the arguments, other than of classes and channels, with which the architecture is made.

    Raises:
        MergeError: They are no JSON object.
    """
    given = _object(_config(model), "model_args", model) if model.detail == CONFIG else {}
    return {name: value for name, value in given.items() if name not in _NOT_ARCHITECTURE}


def stated_record(model: ModelName, published: Any) -> Any:
    """Return timm's record of an architecture, with what the folder's configuration says instead.

    Args:
        model: The architecture.
        published: The record of the architecture by its name.

    Raises:
        MergeError: What the configuration says is of another kind.
    """
    import dataclasses

    if model.detail != CONFIG:
        return published
    config = _config(model)
    stated = _object(config, "pretrained_cfg", model) or ({} if "model_type" in config else config)  # older: one level
    wanted = ("input_size", "fixed_input_size", "first_conv", "classifier", "mean", "std", "interpolation", "crop_pct")
    known = {name: _frozen(stated[name]) for name in wanted if stated.get(name) is not None}
    return dataclasses.replace(published, **known | _input_size(model, known, published))


def _input_size(model: ModelName, known: Mapping[str, Any], published: Any) -> dict[str, tuple[int, ...]]:
    """Return channels, height and width; an ``img_size`` that the model was made with goes first."""
    found = known.get("input_size", published.input_size)
    side = stated_arguments(model).get("img_size")
    if side is not None:
        found = (3, side, side) if isinstance(side, int) else (3, *(side if isinstance(side, Iterable) else ()))
    if not (isinstance(found, tuple) and len(found) == 3 and all(isinstance(one, int) and one > 0 for one in found)):
        what = "config.json states no size of images: [channels, height, width] under 'input_size' is expected"
        raise MergeError(what, where=model.label)
    return {"input_size": found}


def _config(model: ModelName) -> dict[str, Any]:
    return read_json_object(Path(model.name) / CONFIG)


def _object(config: Mapping[str, Any], key: str, model: ModelName) -> Mapping[str, Any]:
    """Return the object under a key, empty where there is none. Raises MergeError for anything else."""
    found = config.get(key) or {}
    if not isinstance(found, Mapping):
        raise MergeError(f"'{key}' in config.json must be a JSON object", where=model.label)
    return found


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
