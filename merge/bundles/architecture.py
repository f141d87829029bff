"""What ``--model`` says of members that are bare checkpoints, kept so that the bundle can be moved."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import UsageError
from ..evaluation.model_name import ModelName, parse_model_name

_PATHS = ("folder", "file")


def portable(model: str | None, out: Path) -> str | None:
    """Return an architecture as a bundle keeps it: a path counts from the bundle's folder.

    Raises:
        UsageError: It has none of the forms of ``--model``, or there is no such file or folder.
    """
    if model is None:
        return None
    parsed = parse_model_name(model, "--model")
    if parsed.kind not in _PATHS:
        return model
    if not Path(parsed.name).exists():
        raise UsageError(f"no such file or folder: {parsed.name}", where="--model")
    try:
        path = Path(os.path.relpath(Path(parsed.name).absolute(), out.absolute())).as_posix()
    except ValueError:  # another drive of Windows
        path = Path(parsed.name).absolute().as_posix()
    return _written(parsed, path)


def usable(model: str | None, folder: Path) -> str | None:
    """Return an architecture as ``--model`` takes it, from where a bundle now lies."""
    if model is None:
        return None
    parsed = parse_model_name(model, "merge.json", folder)
    return model if parsed.kind not in _PATHS else _written(parsed, parsed.name)


def _written(parsed: ModelName, path: str) -> str:
    return f"{path}:{parsed.detail}" if parsed.kind == "file" else path
