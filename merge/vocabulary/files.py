"""The files of a tokenizer beside a model's weights."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..checkpoints.checkpoint import read_json_object
from ..errors import MergeError, UsageError

TOKENIZER, CONFIG, TEMPLATE = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"
SPECIAL, ADDED = "special_tokens_map.json", "added_tokens.json"
TEMPLATES = "chat_template*"
PATTERNS = (
    "tokenizer*",
    "vocab.*",
    "merges.txt",
    SPECIAL,
    ADDED,
    "spiece.model",
    "sentencepiece*.model",
    "tokenization_*.py",
    TEMPLATES,
)
# Files that hold a vocabulary without `tokenizer.json`: they grow stale where tokens are left out of it.
SLOW = ("vocab.*", "merges.txt", "tokenizer.model*", "spiece.model", "sentencepiece*.model")
_HOLDS = (TOKENIZER, *SLOW)
_PICKLES = (".pkl", ".pickle", ".bin", ".pt", ".pth", ".joblib")
_MAGIC = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether a file's name fits one of these patterns."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def tokenizer_files(folder: Path) -> dict[str, Path]:
    """Return every file of a tokenizer by its name, in order of the names."""
    paths = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix != ".py")
    return {path.name: path for path in paths if matches(path.name, PATTERNS)}


def folder_of(source: Any, where: str | None) -> Path:
    """Return the folder of a model that must have a tokenizer.

    Raises:
        UsageError: It is a bare file or lies in memory, or no tokenizer is in its folder.
        MergeError: What is there is a pickle.
    """
    folder: Path | None = getattr(source, "folder", None)
    place = f"{where}: {source.location}" if where else source.location
    if getattr(source, "vocabulary", None) is not None:
        what = "its adapter comes with another vocabulary than its base, whose tokenizer is in its folder"
        raise UsageError(what, where=place, hint="bake it first: merge passthrough BASE+ADAPTER -o BAKED")
    if folder is None:
        what = "no tokenizer is beside these weights, as they are no folder of a model"
        raise UsageError(what, where=place, hint="name the folder with config.json and the tokenizer")
    files = tokenizer_files(folder)
    holding = [path for name, path in files.items() if matches(name, _HOLDS) and path.suffix not in _PICKLES]
    pickled = [path for path in files.values() if path.suffix in _PICKLES]
    for path in holding or pickled:
        if path in pickled or _starts_like_pickle(path):
            what = f"its tokenizer {path.name} is a Python pickle, which is never loaded"
            raise MergeError(what, where=place, hint="save it as tokenizer.json where you trust it")
    if not holding:
        what = "no tokenizer is in its folder"
        raise UsageError(what, where=place, hint="copy tokenizer.json and tokenizer_config.json there")
    return folder


def _starts_like_pickle(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(4).startswith(_MAGIC)
    except OSError as error:
        raise MergeError(f"cannot read it: {error.strerror}", where=str(path)) from None


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Return the object in a JSON file, or an empty one where there is no such file.

    Raises:
        MergeError: It is broken.
    """
    return read_json_object(folder / name) if (folder / name).is_file() else {}


def read_bytes(paths: Mapping[str, Path]) -> dict[str, bytes]:
    """Return the content of files.

    Raises:
        MergeError: One cannot be read.
    """
    found = {}
    for name, path in paths.items():
        try:
            found[name] = path.read_bytes()
        except OSError as error:
            raise MergeError(f"cannot read it: {error.strerror}", where=str(path)) from None
    return found
