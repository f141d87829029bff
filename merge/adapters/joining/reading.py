"""A location ▸ an open adapter, in the form of PEFT or of kohya's trainer."""

from __future__ import annotations

from pathlib import Path

from ...checkpoints.resolve import _is_elsewhere, _not_found, local_path, open_checkpoint
from ...checkpoints.strength import FULL, Strength
from ...errors import MergeError, UsageError
from ..config import CONFIG, no_config, read_config
from ..contents import sort_contents
from ..single_file.keys import is_single_file
from .member import Member
from .peft_folder import read_peft
from .single_files import read_single_file

_FILES = ("adapter_model.safetensors", "adapter_model.bin")
_SUFFIXES = (".safetensors", ".st")


def open_member(location: str, folder: Path | None = None, strength: Strength = FULL) -> Member:
    """Open an adapter by reading its headers, and where scales lie in the file as numbers these.

    Args:
        location: A folder as PEFT writes it, or a file, here or elsewhere.
        folder: From which a relative path counts; the current one by default.
        strength: How much of it.

    Raises:
        MergeError: It cannot be read, or adds something else than products of two factors.
        UsageError: It is no adapter.
    """
    path, origin = _bring(location, folder)
    beside = path if path.is_dir() else path.parent
    has_config = (beside / CONFIG).is_file()
    weights = open_checkpoint(str(_file(location, path, has_config)))
    try:
        if not has_config or (path.is_file() and is_single_file(weights.tensors)):
            return read_single_file(location, weights, strength, origin)
        config = read_config(beside)
        weights.folder = beside  # where its card and its tokenizer are
        return read_peft(location, weights, config, sort_contents(weights.tensors, location), strength, origin)
    except BaseException:
        weights.close()
        raise


def _bring(location: str, folder: Path | None) -> tuple[Path, str | None]:
    """Return where an adapter lies on this machine, and what names it for good where it came from elsewhere."""
    path = local_path(location, folder)
    if path.exists():
        return path, None
    if not _is_elsewhere(location, folder):
        raise _not_found(location, folder)
    from ...checkpoints.remote.adapter import fetch_adapter

    return fetch_adapter(location)


def _file(location: str, path: Path, has_config: bool) -> Path:
    """Return the file of an adapter's weights."""
    if not path.is_dir():
        return path
    for name in _FILES:
        if has_config and (path / name).is_file():
            return path / name
    if has_config:
        raise UsageError(f"has no {_FILES[0]}", where=location, hint="the folder of an adapter holds its weights too")
    if (path / "config.json").is_file():
        raise UsageError("this is a model, and adapters are merged", where=location, hint="merge soup merges models")
    found = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
    if len(found) > 1:
        raise MergeError(f"has no {CONFIG} and {len(found)} files", where=location, hint="name one of its files")
    if not found:
        raise no_config(location)
    return found[0]
