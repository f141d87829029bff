"""The files beside the weights that make them a model: config, tokenizer, processor, chat template."""

from __future__ import annotations

import fnmatch
import json
import shutil
from pathlib import Path

from ..dtypes import DTYPES

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


def companions(folder: Path | None) -> list[Path]:
    """Return the files to copy from a model's folder, in order of their names."""
    if folder is None:
        return []
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name != CARD and is_companion(path.name))


def copy_companions(paths: list[Path], destination: Path, dtype: str | None) -> None:
    """Copy companions; a changed dtype is entered in config.json, everything else stays as it is.

    Args:
        paths: The files.
        destination: The folder.
        dtype: Format code of the output dtype when the user chose one.
    """
    for path in paths:
        target = destination / path.name
        if path.name == "config.json" and dtype is not None:
            target.write_text(_with_dtype(path.read_text("utf-8"), DTYPES[dtype].torch), "utf-8")
        else:
            shutil.copyfile(path, target)


def _with_dtype(text: str, dtype: str | None) -> str:
    config = json.loads(text)
    for key in ("dtype", "torch_dtype"):
        if key in config:
            config[key] = dtype
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"
