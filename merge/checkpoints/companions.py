"""The files beside the weights that make them a model: config, tokenizer, processor, chat template."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
from pathlib import Path
from typing import Any

from ..dtypes import DTYPES
from .beside import AS_IT_IS, Beside, Edit
from .checkpoint import read_json_object
from .components.declared import CONFIG, SCHEDULER, read_here

CARD = "README.md"
_COPIED = (
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "vocab.*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
    "sentencepiece*.model",
    "preprocessor_config.json",
    "processor_config.json",
    "image_processor_config.json",
    "video_preprocessor_config.json",
    "chat_template*",
    "open_clip_config.json",
    "model_index.json",
    "modules.json",
    "router_config.json",
    "sentence_*_config.json",
    "config_sentence_transformers.json",
    "configuration_*.py",
    "modeling_*.py",
    "tokenization_*.py",
    "load.py",  # what merges write beside wide networks
    "resized_layers.py",
    "network_*.py",
    "LICENSE*",
)
_WRITTEN = (CARD, "adapter_config.json")  # by us, about one output: they say nothing true of another
_OF_COMPONENTS = (SCHEDULER, "wordembedding_config.json", "whitespacetokenizer_config.json")
_WEIGHTS = (".safetensors", ".st", ".bin", ".pt", ".pth", ".ckpt", ".msgpack", ".onnx", ".onnx_data", ".h5", ".xml")


def is_companion(name: str) -> bool:
    """Tell whether a file of this name stands beside weights in an output of ours."""
    return name in _WRITTEN or any(fnmatch.fnmatchcase(name, pattern) for pattern in _COPIED)


def is_in_component(name: str) -> bool:
    """Tell whether a file of this name stands in the folder of a component, with weights or without."""
    return name not in _WRITTEN and (is_companion(name) or name in _OF_COMPONENTS)


def component_folders(folder: Path) -> list[str]:
    """Return the folders within one of components that are there, as the folder itself names them."""
    found = read_here(folder)
    names = [component.folder for component in found.components] if found else []
    return [name for name in names if name and (folder / name).is_dir()]


def companions(folder: Path | None, beside: Beside = AS_IT_IS) -> list[Path]:
    """Return the files to copy from a model's folder, and from those of its components, in order of their names."""
    if folder is None:
        return []
    here = (path.name for path in folder.iterdir() if path.is_file())
    names = [name for name in here if name not in _WRITTEN and is_companion(name)]
    for within in component_folders(folder):
        files = (path.name for path in (folder / within).iterdir() if path.is_file())
        names += [f"{within}/{name}" for name in files if is_in_component(name)]
    return [folder / name for name in sorted(names) if not is_left_out(name, beside)]


def names_beside(folder: Path | None, beside: Beside) -> list[str]:
    """Return the names of all files that will stand beside the weights, but the card."""
    names = [path.relative_to(folder).as_posix() for path in companions(folder, beside)] if folder else []
    return sorted({*names, *beside.files})


def left_behind(folder: Path | None) -> list[str]:
    """Return notes on what stands beside a model's weights and is not copied although it may belong to it."""
    if folder is None:
        return []
    more = folder / "additional_chat_templates"
    notes = [f"{more} is not copied: only the default chat template is"] if more.is_dir() else []
    nested = component_folders(folder)
    for within in nested:
        names = (path.name for path in (folder / within).iterdir() if not path.name.startswith("."))
        known = {name.split("/")[within.count("/") + 1] for name in nested if name.startswith(f"{within}/")}
        left = sorted(name for name in names if not (is_in_component(name) or is_weights(name) or name in known))
        notes += [f"{folder / within / name} is not copied" for name in left]
    return notes


def copy_companions(
    folder: Path | None, paths: list[Path], destination: Path, dtype: str | None, beside: Beside = AS_IT_IS
) -> None:
    """Copy companions; a changed dtype is entered in config.json, and what else changes; the rest stays as it is.

    Args:
        folder: The model's.
        paths: The files, within it.
        destination: The folder that they go to.
        dtype: Format code of the output dtype when the user chose one.
        beside: What becomes of them.
    """
    for path in paths:
        name = path.relative_to(folder).as_posix() if folder else path.name
        copy = destination / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        edits = [*beside.edits.get(name, ()), *_dtype_edits(path.name, dtype)]
        if edits:
            copy.write_text(_edited(path, edits), "utf-8")
        else:
            shutil.copyfile(path, copy)
    for name, content in beside.files.items():
        (destination / name).write_bytes(content)


def is_left_out(name: str, beside: Beside) -> bool:
    """Tell whether a file is not copied, or another content is written in its place."""
    return name in beside.files or any(fnmatch.fnmatchcase(name, pattern) for pattern in beside.leaves_out)


def is_weights(name: str) -> bool:
    """Tell whether a file of this name holds weights, in whatever format, or is an index of such."""
    return name.endswith(_WEIGHTS) or re.search(r"\.index(\.\w+)?\.json$", name) is not None


def _dtype_edits(name: str, dtype: str | None) -> list[Edit]:
    if name != CONFIG or dtype is None:
        return []
    return [lambda config: {key: _torch_name(key, value, dtype) for key, value in config.items()}]


def _torch_name(key: str, value: Any, dtype: str) -> Any:
    return DTYPES[dtype].torch if key in ("dtype", "torch_dtype") else value


def _edited(path: Path, edits: list[Edit]) -> str:
    found = read_json_object(path)
    for edit in edits:
        found = edit(found)
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"
