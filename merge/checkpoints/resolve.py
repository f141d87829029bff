"""From what the user wrote to an open checkpoint: a file by its content, a folder, or one of them and an adapter."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ..errors import MergeError, UsageError, suggest
from .checkpoint import FileCheckpoint
from .folders import by_name, open_folder
from .header_file import is_pickle, read_header


def open_checkpoint(location: str, *, relative_to: Path | None = None) -> FileCheckpoint:
    """Open a checkpoint by reading its headers only.

    Args:
        location: A file of safetensors or of torch.save under any name, a folder, or ``BASE+ADAPTER``. What lies
            under a name with a plus in it is meant as it is.
        relative_to: Folder from which a relative path counts; the current one by default.

    Raises:
        MergeError: When nothing is there, or what is there is no sound checkpoint.
    """
    path = local_path(location, relative_to)
    if path.is_dir():
        return open_folder(location, path)
    if path.exists() and not path.is_file():
        raise MergeError("neither a file nor a folder", where=location, hint="save what it gives to a file first")
    if path.exists():
        return _open_file(location, path)
    halves = with_adapter(location, relative_to)
    if halves is None:
        raise _not_found(location, relative_to)
    return _open_adapted(location, *halves, relative_to)


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
        return open_adapted(location, source, adapter, local_path(adapter, relative_to))
    except BaseException:
        source.close()
        raise


def with_adapter(location: str, relative_to: Path | None = None) -> tuple[str, str] | None:
    """Return base and adapter of ``BASE+ADAPTER``, or None where a location names one thing alone, or nothing."""
    if "+" not in location or local_path(location, relative_to).exists():
        return None
    for base, adapter in reversed(_halves(location)):
        if local_path(adapter, relative_to).exists():
            return base, adapter
    return None


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
    if location.count("/") == 1 and not location.startswith((".", "/", "~")):
        near = near or "no such local path; hub ids are not read by this version, download the model first"
    return UsageError("no such file or folder", where=location, hint=near)


def _near(path: Path) -> str | None:
    """Return a hint at a file or folder of a similar name."""
    try:
        return suggest(path.name, os.listdir(path.parent))
    except OSError:
        return None
