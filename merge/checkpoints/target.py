"""May this path be written? What stands there, and what is read, must not be lost."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from ..errors import MergeError, UsageError
from .checkpoint import OUR_KEY
from .companions import component_folders, is_companion, is_in_component
from .header_file import read_header


def check_target(target: Path, inputs: Iterable[Path], *, is_folder: bool, force: bool) -> None:
    """Refuse an output path that would cost the user something.

    Args:
        target: The output's path.
        inputs: Every file that is read.
        is_folder: Whether a folder will be written.
        force: Whether a former output of ours may be replaced.

    Raises:
        UsageError: Naming what is in the way.
    """
    where = str(target)
    for path in inputs:
        if _same(path, target) or (target.is_dir() and _inside(path, target)):
            raise UsageError("the output is one of the inputs", where=where, hint="choose another --out")
    if not os.path.lexists(target):
        return
    if not force:
        raise UsageError("the output exists", where=where, hint="--force replaces it")
    if target.is_dir() is not is_folder:
        kinds = ("a folder", "a single file") if target.is_dir() else ("a file", "a folder")
        raise UsageError(f"{kinds[0]} stands there, and the output is {kinds[1]}", where=where)
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise UsageError("a pipe or a device stands there", where=where, hint="choose another --out")
    if is_folder:
        _check_ours(target)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _inside(path: Path, folder: Path) -> bool:
    return folder.resolve() in path.resolve().parents


def check_ours_text(path: Path, mark: str) -> None:
    """Refuse to replace a text file that does not carry our mark.

    Raises:
        UsageError: Naming the file.
        MergeError: It cannot be read.
    """
    try:
        ours = path.is_file() and mark in path.read_text("utf-8")
    except ValueError:
        ours = False
    except OSError as error:
        raise MergeError(f"cannot read it: {error.strerror}", where=str(path)) from None
    if not ours:
        raise UsageError("this file is in the way of the model card", where=str(path), hint="move it away")


def _check_ours(folder: Path) -> None:
    """A folder is replaced as a whole, so everything in it must be something that a merge wrote or copied."""
    try:
        within = set(component_folders(folder))
    except MergeError:  # what names them is damaged, so nothing tells whose they are
        within = set()
    for name, entry in sorted(entries(folder, "", within)):
        if entry.is_dir() or not is_known(name, within):
            what = f"holds '{name}', which no merge wrote"
            raise UsageError(what, where=str(folder), hint="move it away, or choose another --out")
        if entry.suffix == ".safetensors" and OUR_KEY not in read_header(entry).metadata:
            what = f"holds '{name}', which is no output of a merge"
            raise UsageError(what, where=str(folder), hint="move it away, or choose another --out")


def entries(folder: Path, before: str, within: Collection[str]) -> Iterator[tuple[str, Path]]:
    """Yield what is in a folder and in those of its components, by names with folders in front."""
    for entry in folder.iterdir():
        name = before + entry.name
        if entry.is_dir() and not entry.is_symlink() and any(f"{one}/".startswith(f"{name}/") for one in within):
            yield from entries(entry, f"{name}/", within)
        else:
            yield name, entry


def is_known(name: str, within: Collection[str]) -> bool:
    """Tell whether a merge writes or copies files of this name.

    Args:
        name: With folders in front.
        within: The folders of components.
    """
    folder, _, last = name.rpartition("/")
    if last.endswith((".safetensors", ".safetensors.index.json")):
        return not folder or folder in within
    return folder in within and is_in_component(last) if folder else is_companion(last)
