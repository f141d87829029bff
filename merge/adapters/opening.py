"""From the folder of an adapter and an open checkpoint to the checkpoint with the adapter baked in."""

from __future__ import annotations

from pathlib import Path

from ..checkpoints.checkpoint import FileCheckpoint
from ..checkpoints.resolve import open_checkpoint
from ..errors import UsageError
from .adapted import AdaptedCheckpoint
from .config import CONFIG, read_config
from .contents import sort_contents
from .fitting import fit

_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")


def open_adapted(location: str, source: FileCheckpoint, adapter: str, path: Path) -> AdaptedCheckpoint:
    """Bake an adapter into an open checkpoint, by headers only; the source is closed with the outcome.

    Args:
        location: What the user wrote for both.
        source: The checkpoint beneath.
        adapter: What the user wrote for the adapter.
        path: The adapter's folder, or the file of its weights.

    Raises:
        MergeError: The adapter cannot be read, is of a kind that is not baked, or does not fit the checkpoint.
        UsageError: It is no adapter.
    """
    folder = path if path.is_dir() else path.parent
    config = read_config(folder)
    weights = open_checkpoint(str(_weights(adapter, path)))
    try:
        fitted = fit(sort_contents(weights.tensors, adapter), config, source, adapter)
        return AdaptedCheckpoint(location, source, weights, fitted, [*weights.files, folder / CONFIG])
    except BaseException:
        weights.close()
        raise


def _weights(adapter: str, path: Path) -> Path:
    """Return the file of an adapter's weights."""
    if not path.is_dir():
        return path
    for name in _WEIGHTS:
        if (path / name).is_file():
            return path / name
    raise UsageError(f"has no {_WEIGHTS[0]}", where=adapter, hint="the folder of an adapter holds its weights too")
