"""Folders of components on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ...errors import UsageError
from ..checkpoint import FileCheckpoint
from .checkpoint import ComponentCheckpoint
from .choosing import besides, with_weights
from .declared import Declared, read_here
from .part import Part


def open_components(location: str, path: Path) -> ComponentCheckpoint | None:
    """Open a folder of components, or return None where a folder holds one model.

    Raises:
        MergeError: A component is missing, damaged, or leads outside the folder.
        UsageError: It is not clear which weights of a component are meant.
    """
    found = read_here(path)
    if found is None:
        return None
    chosen = with_weights(found, lambda name: _names(path / name), location)
    root = _names(path) or []
    within = [entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    notes = besides(found, root, within, lambda name: _names(path / name))
    parts = open_parts(chosen, lambda folder: _open(location, path, folder))
    return ComponentCheckpoint(location, parts, found.library, folder=path, notes=notes)


def open_parts(chosen: Sequence[Declared], opener: Callable[[str], FileCheckpoint]) -> list[Part]:
    """Open components one after the other; none stays open if one cannot be."""
    parts: list[Part] = []
    try:
        for component in chosen:
            parts.append(Part(component.folder, component.prefix, opener(component.folder)))
    except BaseException:
        for part in parts:
            part.source.close()
        raise
    return parts


def refuse_component(folder: Path, location: str) -> None:
    """Refuse what can be done with a folder of components only, where one of them was named.

    Args:
        folder: Where the component lies.
        location: What the user wrote.

    Raises:
        UsageError: It is a component of a folder.
    """
    folder = folder.resolve()
    for parent in folder.parents[:2]:
        found = read_here(parent)
        if found is not None and folder.relative_to(parent).as_posix() in {one.folder for one in found.components}:
            what = f"this is one component of {parent.name}, and its card is that of the whole"
            raise UsageError(what, where=location, hint=f"name the folder that holds {found.file}")


def _open(location: str, path: Path, folder: str) -> FileCheckpoint:
    from ..folders import open_one_model

    return open_one_model(f"{location.rstrip('/')}/{folder}" if folder else location, path / folder)


def _names(path: Path) -> list[str] | None:
    return [entry.name for entry in path.iterdir() if entry.is_file()] if path.is_dir() else None
