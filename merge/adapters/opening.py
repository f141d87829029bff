"""From an adapter's folder or file and an open checkpoint to the checkpoint with the adapter baked in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..checkpoints.checkpoint import FileCheckpoint
from ..checkpoints.resolve import open_checkpoint
from ..checkpoints.strength import FULL, Strength
from ..errors import MergeError, UsageError
from .adapted import AdaptedCheckpoint
from .config import CONFIG, no_config, read_config
from .contents import sort_contents
from .fitting import Fitted, fit
from .single_file.keys import is_single_file

_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
_SUFFIXES = (".safetensors", ".st")


def open_adapted(
    location: str, source: FileCheckpoint, adapter: str, path: Path, strength: Strength = FULL
) -> AdaptedCheckpoint:
    """Bake an adapter into an open checkpoint, by headers only; the source is closed with the outcome.

    Args:
        location: What the user wrote for both.
        source: The checkpoint beneath.
        adapter: What the user wrote for the adapter.
        path: The adapter's folder, or the file of its weights.
        strength: How much of it.

    Raises:
        MergeError: The adapter cannot be read, is of a kind that is not baked, or does not fit the checkpoint.
        UsageError: It is no adapter.
    """
    folder = path if path.is_dir() else path.parent
    has_config = (folder / CONFIG).is_file()
    weights = open_checkpoint(str(_weights(adapter, path, has_config)))
    try:
        if not has_config or (path.is_file() and is_single_file(weights.tensors)):
            from .single_file.fitting import fit_file

            fitted, files = fit_file(weights, source, adapter, strength), weights.files
        else:
            fitted, files = _fit_folder(folder, weights, source, adapter), [*weights.files, folder / CONFIG]
            fitted = _at_strength(fitted, strength, adapter)
        return AdaptedCheckpoint(location, source, weights, fitted, files, strength)
    except BaseException:
        weights.close()
        raise


def _fit_folder(folder: Path, weights: FileCheckpoint, source: FileCheckpoint, adapter: str) -> Fitted:
    config = read_config(folder)
    return fit(sort_contents(weights.tensors, adapter), config, source, adapter)


def _at_strength(fitted: Fitted, strength: Strength, adapter: str) -> Fitted:
    """Return what a strength leaves of an adapter's changes."""
    if strength.model != strength.text:
        what = "a strength of its own for text encoders is one for adapters in one file, whose names tell them"
        raise UsageError(what, where=adapter, hint=f"={strength.model:g}")
    if fitted.vocabulary is not None and strength != FULL:
        what = f"a strength leaves the {fitted.vocabulary.after} tokens of the adapter no values: the base lacks some"
        raise UsageError(what, where=adapter, hint="leave it out")
    changes = {name: replace(change, strength=strength.model) for name, change in fitted.changes.items()}
    return replace(fitted, changes=changes)


def _weights(adapter: str, path: Path, has_config: bool) -> Path:
    """Return the file of an adapter's weights."""
    if not path.is_dir():
        return path
    for name in _WEIGHTS:
        if (path / name).is_file() and has_config:
            return path / name
    if has_config:
        raise UsageError(f"has no {_WEIGHTS[0]}", where=adapter, hint="the folder of an adapter holds its weights too")
    found = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
    if not found or (path / "config.json").is_file():
        raise no_config(str(path))
    if len(found) > 1:
        hint = f"name one of its files, such as {adapter.rstrip('/')}/{found[0].name}"
        raise MergeError(f"has no {CONFIG}, and {len(found)} files that may be adapters", where=adapter, hint=hint)
    return found[0]
