"""What a model is, as ``--model`` or a benchmark's ``model:`` says it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import UsageError

Kind = Literal["folder", "hf", "timm", "open_clip", "file"]
MAIN = "main"  # the hub's default revision
CONFIG = "config.json"
OPEN_CLIP_CONFIG = "open_clip_config.json"
FORMS = "a folder with a config.json, hf:NAME, timm:NAME, open_clip:NAME or file.py:Class"


@dataclass(frozen=True)
class ModelName:
    """An architecture by name; nothing of it is loaded yet.

    Attributes:
        kind: Whose architecture it is.
        name: Folder or file of Python code as a path, or a name of the hub, of timm or of open_clip.
        detail: The hub's revision, the class in the file, or for a folder of timm's ``config.json``; else empty.
        label: As the user wrote it.
        where: Who wrote it, for messages: ``--model``, or the place in a benchmark file.
    """

    kind: Kind
    name: str
    detail: str
    label: str
    where: str


def parse_model_name(text: str, where: str, folder: Path | None = None) -> ModelName:
    """Read a model's name.

    Args:
        text: ``DIR``, ``hf:NAME[@REVISION]``, ``timm:NAME``, ``open_clip:NAME`` or ``file.py:Class``.
        where: Who wrote it, for messages.
        folder: Where relative paths count from; the current folder by default.

    Raises:
        UsageError: It has none of these forms, or there is no such file.
    """
    prefix, _, rest = text.partition(":")
    if prefix == "hf" and rest:
        name, _, revision = rest.partition("@")
        return ModelName("hf", name, revision or MAIN, text, where)
    if prefix == "timm" and rest:
        return ModelName("timm", rest, "", text, where)
    if prefix == "open_clip" and rest:
        path = _path(rest, folder)
        return ModelName("open_clip", str(path) if path.is_dir() else rest, "", text, where)
    file, _, class_name = text.rpartition(":")
    if file.endswith(".py") and class_name.isidentifier():
        return _own_class(_path(file, folder), class_name, text, where)
    return ModelName("folder", str(_path(text, folder)), "", text, where)


def folder_name(folder: Path, label: str) -> ModelName:
    """Return the name of an architecture whose configuration lies in a folder."""
    return ModelName("folder", str(folder), "", label, label)


def has_configuration(folder: Path | None) -> bool:
    """Tell whether a folder says what architecture the weights in it have."""
    return folder is not None and any((folder / file).is_file() for file in (CONFIG, OPEN_CLIP_CONFIG))


def is_open_clip_folder(folder: Path, tensors: object) -> bool:
    """Tell whether a folder's weights are for open_clip.

    Folders of the hub often have configurations for open_clip and for transformers; then the tensors' names decide.
    """
    if not (folder / OPEN_CLIP_CONFIG).is_file():
        return False
    names = tensors if isinstance(tensors, dict) else {}
    return not (folder / CONFIG).is_file() or any(name.startswith("visual.") for name in names)


def _path(text: str, folder: Path | None) -> Path:
    from ..checkpoints.resolve import local_path

    return local_path(text, folder)


def _own_class(path: Path, class_name: str, text: str, where: str) -> ModelName:
    if not path.is_file():
        raise UsageError(f"no such file of Python code: {path}", where=where, hint=f"--model takes {FORMS}")
    return ModelName("file", str(path), class_name, text, where)
