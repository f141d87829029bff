"""The files beside the weights that make them a model: config, tokenizer, processor, chat template."""

from __future__ import annotations

import fnmatch
import json
import shutil
from pathlib import Path
from typing import Any

from ..dtypes import DTYPES
from .beside import AS_IT_IS, Beside, Edit
from .checkpoint import read_json_object

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
    "configuration_*.py",
    "modeling_*.py",
    "tokenization_*.py",
    "LICENSE*",
)


def is_companion(name: str) -> bool:
    """Tell whether a file of this name stands beside weights in an output of ours."""
    return name == CARD or any(fnmatch.fnmatchcase(name, pattern) for pattern in _COPIED)


def companions(folder: Path | None, beside: Beside = AS_IT_IS) -> list[Path]:
    """Return the files to copy from a model's folder, in order of their names."""
    if folder is None:
        return []
    names = [path for path in folder.iterdir() if path.is_file() and path.name != CARD and is_companion(path.name)]
    return sorted(path for path in names if not is_left_out(path.name, beside))


def names_beside(folder: Path | None, beside: Beside) -> list[str]:
    """Return the names of all files that will stand beside the weights, but the card."""
    return sorted({*(path.name for path in companions(folder, beside)), *beside.files})


def left_behind(folder: Path | None) -> list[str]:
    """Return notes on what stands beside a model's weights and is not copied although it belongs to its tokenizer."""
    more = folder / "additional_chat_templates" if folder else None
    return [f"{more} is not copied: only the default chat template is"] if more is not None and more.is_dir() else []


def copy_companions(paths: list[Path], destination: Path, dtype: str | None, beside: Beside = AS_IT_IS) -> None:
    """Copy companions; a changed dtype is entered in config.json, and what else changes; the rest stays as it is.

    Args:
        paths: The files.
        destination: The folder.
        dtype: Format code of the output dtype when the user chose one.
        beside: What becomes of them.
    """
    for path in paths:
        edits = [*beside.edits.get(path.name, ()), *_dtype_edits(path.name, dtype)]
        if edits:
            (destination / path.name).write_text(_edited(path, edits), "utf-8")
        else:
            shutil.copyfile(path, destination / path.name)
    for name, content in beside.files.items():
        (destination / name).write_bytes(content)


def is_left_out(name: str, beside: Beside) -> bool:
    """Tell whether a file is not copied, or another content is written in its place."""
    return name in beside.files or any(fnmatch.fnmatchcase(name, pattern) for pattern in beside.leaves_out)


def _dtype_edits(name: str, dtype: str | None) -> list[Edit]:
    if name != "config.json" or dtype is None:
        return []
    return [lambda config: {key: _torch_name(key, value, dtype) for key, value in config.items()}]


def _torch_name(key: str, value: Any, dtype: str) -> Any:
    return DTYPES[dtype].torch if key in ("dtype", "torch_dtype") else value


def _edited(path: Path, edits: list[Edit]) -> str:
    found = read_json_object(path)
    for edit in edits:
        found = edit(found)
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"
