"""What ``--model`` says of members that are bare checkpoints, kept so that the bundle can be moved."""

from __future__ import annotations

from pathlib import Path

from ..errors import UsageError
from ..evaluation.model_name import ModelName, parse_model_name
from .paths import seen_from

_PATHS = ("folder", "file")


def portable(model: str | None, out: Path) -> str | None:
    """Return an architecture as a bundle keeps it: a path counts from the bundle's folder.

    Raises:
        UsageError: It has none of the forms of ``--model``, or there is no such file or folder.
    """
    paths = paths_of(model)
    if model is None or not paths:
        return model
    return _written(parse_model_name(model, "--model"), seen_from(paths[0], out))


def paths_of(model: str | None) -> list[Path]:
    """Return the file or folder that an architecture is read from, if it is. Raises UsageError, as above."""
    parsed = None if model is None else parse_model_name(model, "--model")
    if parsed is None or not _is_path(parsed):
        return []
    if not Path(parsed.name).exists():
        raise UsageError(f"no such file or folder: {parsed.name}", where="--model")
    return [Path(parsed.name)]


def usable(model: str | None, folder: Path) -> str | None:
    """Return an architecture as ``--model`` takes it, from where a bundle now lies."""
    if model is None:
        return None
    parsed = parse_model_name(model, "merge.json", folder)
    return _written(parsed, parsed.name) if _is_path(parsed) else model


def _is_path(parsed: ModelName) -> bool:
    return parsed.kind in _PATHS or (parsed.kind == "open_clip" and Path(parsed.name).is_dir())


def _written(parsed: ModelName, path: str) -> str:
    if parsed.kind == "file":
        return f"{path}:{parsed.detail}"
    return f"open_clip:{path}" if parsed.kind == "open_clip" else path
