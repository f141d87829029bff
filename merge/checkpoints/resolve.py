"""From what the user wrote to an open checkpoint: here or elsewhere, and with or without an adapter."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ..errors import MergeError, UsageError, suggest
from .checkpoint import FileCheckpoint
from .folders import by_name, open_folder
from .header_file import is_pickle, read_header
from .remote.reference import is_marked, is_remote, is_url
from .scaled import with_scales_applied


def open_checkpoint(location: str, *, relative_to: Path | None = None) -> FileCheckpoint:
    """Open a checkpoint by reading its headers only; 8-bit floats with scales are read as 16-bit ones.

    Args:
        location: A file of safetensors or of torch.save under any name, a folder, an id of the hub, a URL, or
            ``BASE+ADAPTER``. What lies on this machine goes first, also under a name with a plus in it.
        relative_to: Folder from which a relative path counts; the current one by default.

    Raises:
        MergeError: When nothing is there, or what is there is no sound checkpoint.
    """
    opened = _open_as_it_is(location, relative_to)
    try:
        return with_scales_applied(opened)
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
        return _open_adapted(location, *halves, relative_to)
    if _is_elsewhere(location, relative_to):
        from .remote.opening import open_remote

        return open_remote(location)
    raise _not_found(location, relative_to)


def _open_file(location: str, path: Path) -> FileCheckpoint:
    folder = path.parent if (path.parent / "config.json").is_file() else None
    if is_pickle(path):
        from .pickled import open_pickles

        return open_pickles(location, [path], folder)
    header = read_header(path)
    return FileCheckpoint(location, [path], by_name(header.tensors), header.metadata, folder=folder)


def _open_adapted(location: str, base: str, adapter: str, relative_to: Path | None) -> FileCheckpoint:
    from ..adapters.opening import open_adapted

    source = open_checkpoint(base, relative_to=relative_to)
    try:
        path, origin = _bring_adapter(adapter, relative_to)
        adapted = open_adapted(location, source, adapter, path)
    except BaseException:
        source.close()
        raise
    if source.origin or origin:
        adapted.origin = f"{source.origin or base}+{origin or adapter}"
    return adapted


def _bring_adapter(adapter: str, relative_to: Path | None) -> tuple[Path, str | None]:
    """Return where an adapter lies on this machine, and what names it for good where it came from elsewhere."""
    path = local_path(adapter, relative_to)
    if path.exists():
        return path, None
    from .remote.adapter import fetch_adapter

    return fetch_adapter(adapter)


def with_adapter(location: str, relative_to: Path | None = None) -> tuple[str, str] | None:
    """Return base and adapter of ``BASE+ADAPTER``, or None where a location names one thing alone, or nothing."""
    if "+" not in location or local_path(location, relative_to).exists():
        return None
    for base, adapter in reversed(_halves(location)):
        if local_path(adapter, relative_to).exists() or _is_adapter_elsewhere(base, adapter, relative_to):
            return base, adapter
    return None


def _is_adapter_elsewhere(base: str, adapter: str, relative_to: Path | None) -> bool:
    """Tell whether a half is an adapter elsewhere, and not the rest of an address with a plus in it."""
    if not is_remote(adapter) or (is_url(base) and not is_marked(adapter)):
        return False
    return local_path(base, relative_to).exists() or is_remote(base) or with_adapter(base, relative_to) is not None


def _is_elsewhere(location: str, relative_to: Path | None) -> bool:
    """Tell whether a location of which no local path exists is meant elsewhere, and no misspelt path."""
    if not is_remote(location):
        return False
    return is_marked(location) or _near(local_path(location, relative_to)) is None


def _halves(location: str) -> list[tuple[str, str]]:
    """Return what stands before and after every plus with something on both sides."""
    places = [number for number, character in enumerate(location) if character == "+"]
    return [(location[:place], location[place + 1 :]) for place in places if 0 < place < len(location) - 1]


def local_path(location: str | Path, relative_to: Path | None = None) -> Path:
    """Return the path that a user means: ``~`` is the home folder, unless no such user is known.

    Raises:
        UsageError: For a name that is no valid text, which no card could record.
    """
    path = Path(location)
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UsageError("the file name is no valid UTF-8", where=repr(str(path)), hint="rename it") from None
    with contextlib.suppress(RuntimeError):
        path = path.expanduser()
    return (relative_to or Path()) / path


def _not_found(location: str, relative_to: Path | None) -> MergeError:
    for base, adapter in _halves(location):
        if local_path(base, relative_to).exists():
            return UsageError("no such adapter", where=adapter, hint=_near(local_path(adapter, relative_to)))
    near = _near(local_path(location, relative_to))
    if near and is_remote(location):
        near = f"{near} A model of the hub is meant for sure by hf:{location}"
    return UsageError("no such file or folder", where=location, hint=near)


def _near(path: Path) -> str | None:
    """Return a hint at a file or folder of a similar name."""
    try:
        return suggest(path.name, os.listdir(path.parent))
    except OSError:
        return None
