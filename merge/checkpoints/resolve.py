"""From what the user wrote to an open checkpoint: here or elsewhere, and with or without an adapter."""

from __future__ import annotations

from pathlib import Path

from ..errors import MergeError, UsageError
from .checkpoint import FileCheckpoint
from .choice import CHOICE
from .folders import by_name, open_folder
from .halves import Halves, splits, with_adapter
from .header_file import is_pickle, read_header
from .local_path import local_path, near_name
from .masked import with_masks_applied
from .remote.reference import is_marked, is_remote
from .scaled import with_scales_applied
from .strength import read_strength, without_strength

__all__ = ["local_path", "open_checkpoint", "with_adapter"]


def open_checkpoint(location: str, *, relative_to: Path | None = None) -> FileCheckpoint:
    """Open a checkpoint by reading its headers only; scales and masks beside weights are applied when these are read.

    Args:
        location: A file of safetensors or of torch.save under any name (``FILE#NAME`` is what lies under a name in the
            latter), a folder, an id of the hub, a URL, or
            ``BASE+ADAPTER``, or ``BASE+ADAPTER=0.8`` for so much of it. What lies on this machine goes first, also
            under a name with a plus or an equals sign in it.
        relative_to: Folder from which a relative path counts; the current one by default.

    Raises:
        MergeError: When nothing is there, or what is there is no sound checkpoint.
    """
    opened = _open_as_it_is(location, relative_to)
    try:
        return with_masks_applied(with_scales_applied(opened))
    except BaseException:
        opened.close()
        raise


def _open_as_it_is(location: str, relative_to: Path | None) -> FileCheckpoint:
    path = local_path(location, relative_to)
    if path.is_dir():
        return open_folder(location, path)
    if path.exists() and not path.is_file():
        raise MergeError("neither a file nor a folder", where=location, hint="save what it gives to a file first")
    if path.exists():
        return _open_file(location, path)
    halves = with_adapter(location, relative_to)
    if halves is not None:
        return _open_adapted(location, halves, relative_to)
    file, _, chosen = location.rpartition(CHOICE)
    if file and chosen and local_path(file, relative_to).is_file():
        return _open_file(location, local_path(file, relative_to), chosen)
    if _is_elsewhere(location, relative_to):
        from .remote.opening import open_remote

        return open_remote(location)
    raise _not_found(location, relative_to)


def _open_file(location: str, path: Path, chosen: str = "") -> FileCheckpoint:
    folder = path.parent if (path.parent / "config.json").is_file() else None
    if is_pickle(path):
        from .pickled import open_pickles

        return open_pickles(location, [path], folder, chosen)
    if chosen:
        what = f"'{chosen}' names weights within a file of torch.save, and this is none"
        raise MergeError(what, where=str(path), hint="name the file alone")
    header = read_header(path)
    return FileCheckpoint(location, [path], by_name(header.tensors), header.metadata, folder=folder)


def _open_adapted(location: str, halves: Halves, relative_to: Path | None) -> FileCheckpoint:
    from ..adapters.opening import open_adapted

    base, adapter, strength = halves
    amount = read_strength(strength, location)
    source = open_checkpoint(base, relative_to=relative_to)
    try:
        path, origin = _bring_adapter(adapter, relative_to)
        adapted = open_adapted(location, source, adapter, path, amount)
    except BaseException:
        source.close()
        raise
    if source.origin or origin:
        adapted.origin = f"{source.origin or base}+{origin or adapter}{strength}"
    return adapted


def _bring_adapter(adapter: str, relative_to: Path | None) -> tuple[Path, str | None]:
    """Return where an adapter lies on this machine, and what names it for good where it came from elsewhere."""
    path = local_path(adapter, relative_to)
    if path.exists():
        return path, None
    from .remote.adapter import fetch_adapter

    return fetch_adapter(adapter)


def _is_elsewhere(location: str, relative_to: Path | None) -> bool:
    """Tell whether a location of which no local path exists is meant elsewhere, and no misspelt path."""
    if not is_remote(location):
        return False
    return is_marked(location) or near_name(local_path(location, relative_to)) is None


def _not_found(location: str, relative_to: Path | None) -> MergeError:
    for base, adapter in reversed(splits(location)):
        if local_path(base, relative_to).exists() or with_adapter(base, relative_to) is not None:
            name, _, number = without_strength(adapter)[0].rpartition("=")
            if name and "+" not in number and local_path(name, relative_to).exists():
                return UsageError(f"the strength '{number}' is no number", where=location, hint=f"{name}=0.8")
            named = without_strength(adapter)[0]
            return UsageError("no such adapter", where=named, hint=near_name(local_path(named, relative_to)))
    near = near_name(local_path(location, relative_to))
    if near and is_remote(location):
        near = f"{near} A model of the hub is meant for sure by hf:{location}"
    return UsageError("no such file or folder", where=location, hint=near)
